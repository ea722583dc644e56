# SPDX-License-Identifier: Apache-2.0
# What every target of the project has in common, and one function a kind of target.
add_library(relpack_flags INTERFACE)
target_compile_features(relpack_flags INTERFACE c_std_11)
target_compile_definitions(relpack_flags INTERFACE _GNU_SOURCE RELPACK_VERSION="${PROJECT_VERSION}")
target_compile_options(relpack_flags INTERFACE -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes
  -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -fno-common -fstack-protector-strong)
# A program needs the libraries that it calls: relctl travels in every release.
target_link_options(relpack_flags INTERFACE -Wl,--as-needed)
target_include_directories(relpack_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
if(RELPACK_WERROR)
  target_compile_options(relpack_flags INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE MATCHES "Rel")
  target_compile_definitions(relpack_flags INTERFACE _FORTIFY_SOURCE=2)
  # Functions that nobody calls stay out: relctl travels in every release.
  target_compile_options(relpack_flags INTERFACE -ffunction-sections -fdata-sections)
  target_link_options(relpack_flags INTERFACE -Wl,-z,relro,-z,now -Wl,--gc-sections)
endif()
if(RELPACK_SANITIZE)
  target_compile_options(relpack_flags INTERFACE -fsanitize=${RELPACK_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(relpack_flags INTERFACE -fsanitize=${RELPACK_SANITIZE})
endif()
if(RELPACK_FUZZ)
  target_compile_options(relpack_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# A folder is one static library that names only what it itself needs.
function(relpack_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  if(NOT arg_SOURCES)
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/empty.c "")
    set(arg_SOURCES ${CMAKE_CURRENT_BINARY_DIR}/empty.c)
  endif()
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC relpack_flags ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
endfunction()

function(relpack_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE relpack_flags ${arg_LIBRARIES})
endfunction()

