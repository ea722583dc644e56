#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a mix project may ask for: several releases, start types, functions among the steps, configuration providers of its
# own, chunks that are kept, an umbrella, native code made by make.
. "$(dirname "$0")/../support/lib.sh"

cd "$WORK" || exit 1
MIX_ENV=prod mix new one --sup >log 2>&1
cd one || exit 1
cat >mix.exs <<'EX'
defmodule One.MixProject do
  use Mix.Project

  def project do
    [app: :one, version: "1.2.3", elixir: "~> 1.13", deps: [{:native, path: "../native"}], default_release: :first,
     releases: [
       first: [applications: [runtime_tools: :load, inets: :transient, crypto: :temporary, tools: :none],
               steps: [&before/1, :assemble, &behind/1, :tar], strip_beams: [keep: ["Docs"]],
               config_providers: [{One.Provider, "/etc/one"}]],
       second: [version: {:from_app, :native}, include_erts: false, runtime_config_path: "config/other.exs",
                overlays: ["more"], strip_beams: false, cookie: "secret-cookie"]]]
  end

  def application, do: [extra_applications: [:logger], mod: {One.Application, []}]

  defp before(release), do: put_in(release.options[:overlays], ["more"])

  defp behind(release) do
    true = File.regular?(Path.join(release.version_path, "start.boot"))
    File.write!(Path.join(release.path, "made_by_step"), "#{release.name} #{release.version}")
    File.rm!(Path.join(release.path, "gone.txt"))
    release
  end
end
EX
mkdir -p more config ../native/lib ../native/c_src
echo there >more/there.txt
echo gone >more/gone.txt
echo 'import Config
config :one, from_runtime: System.get_env("RELEASE_NAME")' >config/runtime.exs
echo 'import Config
config :one, other: true' >config/other.exs
cat >lib/provider.ex <<'EX'
defmodule One.Provider do
  @moduledoc "Documented"
  @behaviour Config.Provider
  def init(path), do: path
  def load(config, path), do: Config.Reader.merge(config, one: [provided: {path, System.fetch_env!("GIVEN")}])
end
EX
cat >../native/mix.exs <<'EX'
defmodule Native.MixProject do
  use Mix.Project
  def project, do: [app: :native, version: "0.7.0", compilers: [:make] ++ Mix.compilers(), deps: []]
  def application, do: []
end

defmodule Mix.Tasks.Compile.Make do
  def run(_) do
    {_, 0} = System.cmd("make", ["-s", "OUT=" <> Path.join(Mix.Project.app_path(), "priv")])
    {:ok, []}
  end
end
EX
# shellcheck disable=SC2016
printf 'all:\n\tmkdir -p $(OUT)\n\tcc -shared -fPIC -I%s -o $(OUT)/native.so c_src/native.c\n' \
    "$(erl -noshell -boot no_dot_erlang -eval 'io:put_chars(filename:join([code:root_dir(), "usr", "include"])), halt().')" >../native/Makefile
cat >../native/c_src/native.c <<'C'
#include <erl_nif.h>
static ERL_NIF_TERM f(ErlNifEnv *env, int n, const ERL_NIF_TERM v[])
{
    (void)n; (void)v;
    return enif_make_int(env, 42);
}
static ErlNifFunc functions[] = {{"f", 0, f, 0}};
ERL_NIF_INIT(Elixir.Native, functions, NULL, NULL, NULL, NULL)
C
cat >../native/lib/native.ex <<'EX'
defmodule Native do
  @on_load :init
  def init, do: :erlang.load_nif(:filename.join(:code.priv_dir(:native), 'native'), 0)
  def f, do: :erlang.nif_error(:not_loaded)
end
EX

# The default release
assert_exit 0 relpack build --tar
assert_eq "$PWD/_build/relpack/first-1.2.3.tar.gz" "$(tail -n 1 "$WORK/out")"
assert_exit 0 relpack verify _build/relpack/first-1.2.3.tar.gz
mkdir ../r && tar -C ../r -xzf _build/relpack/first-1.2.3.tar.gz
R=$WORK/r
assert_eq "first 1.2.3" "$(cat "$R/made_by_step")" "the step behind :assemble"
assert_eq there "$(cat "$R/there.txt")" "the step before :assemble"
[ ! -e "$R/gone.txt" ] || fail "what a step removed is there"
erl -noshell -eval '
    {ok, [{release, _, _, Apps}]} = file:consult("'"$R"'/releases/1.2.3/first.rel"),
    Type = fun(App) -> case lists:keyfind(App, 1, Apps) of {_, _, T} -> T; {_, _} -> permanent end end,
    [load, transient, temporary, none, permanent] = [Type(A) || A <- [runtime_tools, inets, crypto, tools, one]],
    {ok, _, Chunks} = beam_lib:all_chunks("'"$R"'/lib/one-1.2.3/ebin/Elixir.One.Provider.beam"),
    true = lists:keymember("Docs", 1, Chunks), false = lists:keymember("Dbgi", 1, Chunks), halt().' ||
    fail "start types or chunks"
start_bg first env GIVEN=given "$R/bin/first" start
# A node answers before its configuration is there.
wait_until 30 "$R/bin/first" rpc 'true = List.keymember?(Application.started_applications(), :one, 0)'
assert_exit 0 "$R/bin/first" rpc 'IO.inspect({Application.get_env(:one, :provided), Application.get_env(:one, :from_runtime), Native.f()})'
assert_eq '{{"/etc/one", "given"}, "first", 42}' "$(cat "$WORK/out")" "provider, runtime.exs, NIF"
assert_exit 0 "$R/bin/first" stop

# Another one, by name; without a VM; of the version of another application
assert_exit 0 relpack build --release second --no-compile
assert_match 'cookie' "$(cat "$WORK/err")"
S=$PWD/_build/relpack/second
assert_eq "0.7.0" "$(basename "$(dirname "$(echo "$S"/releases/*/second.rel)")")" "version from an application"
[ -z "$(find "$S" -maxdepth 1 -name 'erts-*')" ] || fail "there is an ERTS"
grep -rqF secret-cookie "$S" && fail "the cookie is in the release"
cmp config/other.exs "$S/releases/0.7.0/runtime.exs"
assert_exit 0 env GIVEN=x "$S/bin/second" eval 'IO.inspect(Application.get_env(:one, :other))'
assert_eq true "$(tail -n 1 "$WORK/out")" "another runtime.exs, with the VM of the host"
assert_exit 1 relpack build --release third --no-compile
assert_match 'third' "$(cat "$WORK/err")"

# A step that fails, one that returns nothing
sed -i 's/    true = File.regular.*/    raise "no luck"/' mix.exs
cp _build/relpack/first-1.2.3.tar.gz "$WORK/kept"
assert_exit 1 relpack build --tar
assert_match 'no luck' "$(cat "$WORK/err")"
cmp "$WORK/kept" _build/relpack/first-1.2.3.tar.gz || fail "a failed step has changed the tarball"
sed -i 's/    raise "no luck"/    :ok/; s/^    release$/    :nothing/' mix.exs
assert_exit 1 relpack build --tar
assert_match 'return a Mix.Release' "$(cat "$WORK/err")"

# An umbrella: a release names which of its applications it has.
cd "$WORK" || exit 1
MIX_ENV=prod mix new roof --umbrella >log 2>&1
(cd roof/apps && MIX_ENV=prod mix new left --sup && MIX_ENV=prod mix new right --sup && MIX_ENV=prod mix new shed) >log 2>&1
cd roof || exit 1
sed -i 's/deps: deps()/deps: deps(), releases: [roof: [version: "9.0.0", applications: [left: :permanent]]]/' mix.exs
python3 - apps/left/mix.exs <<'PYTHON'
import re, sys
text = open(sys.argv[1]).read()
text = re.sub(r"defp deps do\s*\[.*?\]\s*end", "defp deps do\n    [{:right, in_umbrella: true}]\n  end", text, flags=re.S)
open(sys.argv[1], "w").write(text)
PYTHON
echo 'import Config
config :left, where: :roof' >config/config.exs
assert_exit 0 relpack build
U=_build/relpack/roof
assert_eq "left right" "$(find $U/lib -maxdepth 1 -name 'left-*' -o -maxdepth 1 -name 'right-*' -o -maxdepth 1 -name 'shed-*' |
    sed 's|.*/||; s/-.*//' | sort | xargs)" "applications of the umbrella"
assert_exit 0 "$U/bin/roof" eval 'Application.load(:left); IO.inspect(Application.get_env(:left, :where))'
assert_eq :roof "$(tail -n 1 "$WORK/out")" "configuration of the umbrella"
