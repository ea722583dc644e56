# SPDX-License-Identifier: Apache-2.0
# The libraries, each found once. scripts/setup installs them on Debian.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(ARCHIVE REQUIRED IMPORTED_TARGET libarchive>=3.4)
pkg_check_modules(DEFLATE REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.40)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.85)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.4)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8>=10.30)
pkg_check_modules(ELF REQUIRED IMPORTED_TARGET libelf)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
if(BUILD_TESTING)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka>=1.1.5)
endif()

# libei has no pkg-config file; it lies in the Erlang installation.
find_program(ERL_PROGRAM erl REQUIRED)
find_program(ERLC_PROGRAM erlc REQUIRED)
if(NOT ERLANG_ROOT)
  execute_process(
    COMMAND ${ERL_PROGRAM} -noshell -boot no_dot_erlang -eval "io:format(\"~s\", [code:root_dir()]), halt()."
    OUTPUT_VARIABLE erlang_root COMMAND_ERROR_IS_FATAL ANY)
  set(ERLANG_ROOT ${erlang_root} CACHE PATH "Root of the Erlang installation")
endif()
find_path(EI_INCLUDE_DIR ei.h PATHS ${ERLANG_ROOT}/usr/include REQUIRED)
find_library(EI_LIBRARY NAMES libei.a PATHS ${ERLANG_ROOT}/usr/lib REQUIRED)
add_library(relpack_ei INTERFACE)
target_include_directories(relpack_ei SYSTEM INTERFACE ${EI_INCLUDE_DIR})
target_compile_definitions(relpack_ei INTERFACE _REENTRANT)
target_link_libraries(relpack_ei INTERFACE ${EI_LIBRARY} Threads::Threads)

# The static jansson for base/; pkg-config says where its header is.
find_library(JANSSON_STATIC NAMES libjansson.a HINTS ${JANSSON_LIBDIR} REQUIRED)
