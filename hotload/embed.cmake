# SPDX-License-Identifier: Apache-2.0
# SOURCE (an Erlang module) -> OUT (a C file with its BEAM code, the variable hot_beam_NAME). The
# module is renamed to NAME_<8 hex digits of the source's hash>: loading another version of a name
# would in the end kill the processes that still run the first one. A module with the line
# -relsup_face(source_hash). keeps its name, which people call it by, and gets the digits there. The
# modules <GROUP>*.erl call each other and get one hash, of them all.
get_filename_component(source_dir ${SOURCE} DIRECTORY)
if(NAME MATCHES "^${GROUP}")
  file(GLOB members ${source_dir}/${GROUP}*.erl)
else()
  set(members ${SOURCE})
endif()
set(all "")
foreach(member ${members})
  file(SHA256 ${member} hash)
  string(APPEND all ${hash})
endforeach()
string(SHA256 hash "${all}")
string(SUBSTRING ${hash} 0 8 hash)
get_filename_component(dir ${OUT} DIRECTORY)
set(work ${dir}/${NAME}.embed)
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})
file(READ ${SOURCE} text)
string(REPLACE "-relsup_face(source_hash)." "-relsup_face(\"${hash}\")." renamed "${text}")
if(NOT renamed STREQUAL text)
  string(REGEX REPLACE "^.*\n-module\\('?([A-Za-z.]+)'?\\)\\..*$" "\\1" module "${text}")
else()
  set(module ${NAME}_${hash})
  if(NAME MATCHES "^${GROUP}")
    string(REGEX REPLACE "(${GROUP}[a-z_]*)" "\\1_${hash}" renamed "${text}")
  else()
    string(REPLACE "-module(${NAME})." "-module(${module})." renamed "${text}")
  endif()
endif()
if(renamed STREQUAL text)
  message(FATAL_ERROR "${SOURCE} has no line -module(${NAME}).")
endif()
file(WRITE ${work}/${module}.erl "${renamed}")
execute_process(
  COMMAND ${ERLC} +deterministic +warnings_as_errors -o ${work} ${work}/${module}.erl
  COMMAND_ERROR_IS_FATAL ANY)
file(READ ${work}/${module}.beam bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUT}.new "/* Generated from ${NAME}.erl. */
#include \"hotload/hot_beams.h\"
static const unsigned char code[] = {
${bytes}
};
const struct hot_beam hot_beam_${NAME} = {\"${module}\", \"${hash}\", code, sizeof(code)};
")
file(RENAME ${OUT}.new ${OUT})
