/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/cmd.h"
#include "cmd/cmd_signal.h"

extern const struct cmd_verb cmd_relpack_init, cmd_relpack_build, cmd_relpack_script,
    cmd_relpack_beam, cmd_relpack_verify, cmd_relpack_sign, cmd_relpack_keygen, cmd_relpack_inspect,
    cmd_relpack_diff, cmd_relpack_appup, cmd_relpack_relup;

int main(int argc, char **argv)
{
    static const struct cmd_verb *const verbs[] = {
        &cmd_relpack_build,  &cmd_relpack_init,   &cmd_relpack_inspect, &cmd_relpack_diff,
        &cmd_relpack_appup,  &cmd_relpack_relup,  &cmd_relpack_verify,  &cmd_relpack_sign,
        &cmd_relpack_keygen, &cmd_relpack_script, &cmd_relpack_beam,    NULL};
    static const struct cmd_program program = {
        .name = "relpack",
        .summary = "Packs an Erlang or Elixir application and its VM into one release.",
        .about =
            "DIR is a folder with a mix.exs, a rebar.config or a relpack.json; without it the\n"
            "working directory.\n",
        .verbs = verbs,
    };
    int status = cmd_main(&program, argc, argv);

    if (status != REL_DONE)
        cmd_signal_raise();
    return status;
}
