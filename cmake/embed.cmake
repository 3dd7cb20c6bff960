# embed_dropin(TARGET FOLDER): compiles the Python files below FOLDER into TARGET, as agent/dropin_files.hpp shows them.
function(embed_dropin target folder)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${folder} ${folder}/*.py)
  list(SORT files)
  set(rows "")
  foreach(file ${files})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/${file})
    file(READ ${folder}/${file} text)
    string(APPEND rows "    {\"${file}\", R\"linarite(${text})linarite\"},\n")
  endforeach()
  list(LENGTH files count)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/dropin_files.cpp)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[#include "agent/dropin_files.hpp"

#include <array>

namespace linarite::agent {

std::span<const DropinFile> dropin_files() {
    static constexpr std::array<DropinFile, @count@> files{{
@rows@    }};
    return files;
}

} // namespace linarite::agent
]])
  target_sources(${target} PRIVATE ${source})
endfunction()

# embed_text(TARGET FILE HEADER NAMESPACE FUNCTION): compiles a text file into TARGET as `std::string_view FUNCTION()`.
function(embed_text target file header namespace function)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${function}.cpp)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[#include "@header@"

namespace @namespace@ {

std::string_view @function@() {
    return R"linarite(@text@)linarite";
}

} // namespace @namespace@
]])
  target_sources(${target} PRIVATE ${source})
endfunction()
