# SPDX-License-Identifier: Apache-2.0
# SOURCE (an Erlang module NAME) -> OUT (a C file with its BEAM code). The module is renamed to
# NAME_<8 hex digits of the source's hash>: loading another version of a name would in the end kill
# the processes that still run the first one.
file(SHA256 ${SOURCE} hash)
string(SUBSTRING ${hash} 0 8 hash)
set(module ${NAME}_${hash})
get_filename_component(dir ${OUT} DIRECTORY)
set(work ${dir}/${NAME}.embed)
file(REMOVE_RECURSE ${work})
file(MAKE_DIRECTORY ${work})
file(READ ${SOURCE} text)
string(REPLACE "-module(${NAME})." "-module(${module})." renamed "${text}")
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
const struct hot_beam hot_beam_${NAME} = {\"${module}\", code, sizeof(code)};
")
file(RENAME ${OUT}.new ${OUT})
