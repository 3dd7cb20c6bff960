# What we take from the system, by name, and the parts of Boost that are compiled once.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS filesystem url)
find_package(OpenSSL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(SQLiteCpp REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(LibArchive REQUIRED)
find_path(LINARITE_RAPIDJSON rapidjson/reader.h REQUIRED) # headers alone, in the compiler's own path
find_package(prometheus-cpp REQUIRED)
find_package(pugixml REQUIRED)

# Asio, Beast and Process v2 compiled once; every user sees declarations alone.
add_library(linarite_boost STATIC ${CMAKE_SOURCE_DIR}/cmake/boost_src.cpp)
target_compile_definitions(linarite_boost PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
    BOOST_PROCESS_V2_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
target_link_libraries(linarite_boost PUBLIC Boost::headers Boost::filesystem Boost::url OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
target_compile_options(linarite_boost PRIVATE -w)

# Two precompiled headers, shared: one for rooms without sockets, one for rooms with.
add_library(pch_base OBJECT ${CMAKE_SOURCE_DIR}/cmake/pch.cpp)
target_link_libraries(pch_base PUBLIC nlohmann_json::nlohmann_json spdlog::spdlog Boost::headers)
target_precompile_headers(pch_base PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch_base.hpp)
add_library(pch_net OBJECT ${CMAKE_SOURCE_DIR}/cmake/pch.cpp)
target_link_libraries(pch_net PUBLIC linarite_boost nlohmann_json::nlohmann_json spdlog::spdlog)
target_precompile_headers(pch_net PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch_net.hpp)
