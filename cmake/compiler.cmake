# Refuses a compiler that destroys the temporaries of a co_await expression twice (GCC 12.2 does), and sets up ccache.
try_run(LINARITE_COROUTINES_RUN LINARITE_COROUTINES_COMPILED ${CMAKE_BINARY_DIR}/coroutine_check
        ${CMAKE_SOURCE_DIR}/cmake/coroutine_check.cpp
        CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON
        RUN_OUTPUT_VARIABLE LINARITE_COROUTINES_OUTPUT)
if(NOT LINARITE_COROUTINES_COMPILED OR NOT LINARITE_COROUTINES_RUN EQUAL 0)
  message(FATAL_ERROR "${CMAKE_CXX_COMPILER} miscompiles C++20 coroutines. ${LINARITE_COROUTINES_OUTPUT}\n"
                      "Install clang-16 and lld-16 (deploy/install-deps does it) and configure with a preset.")
endif()

find_program(LINARITE_CCACHE ccache)
if(LINARITE_CCACHE)
  # no hash of the directory: all build trees share their objects; the sloppiness is what precompiled headers need
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${LINARITE_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
endif()
