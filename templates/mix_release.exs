# SPDX-License-Identifier: Apache-2.0
# Loaded beside mix ("elixir -r THIS -S mix relpack.facts FILE [--no-compile]"): compiles the project as
# `mix release` does and writes what it would assemble as Erlang terms into FILE, each {Key, Value}.
# Not by `mix run`, which evaluates config/runtime.exs: that belongs to the boot on the target.
defmodule Mix.Tasks.Relpack.Facts do
  use Mix.Task

  def run([file | args]) do
    Mix.Project.get!()
    Mix.Task.run("compile", args)
    config = Mix.Project.config()
    release = release(config)
    after_steps = Enum.filter(release.steps, &is_function/1)
    release = add_runtime_config(release, config)
    work = Path.dirname(file)
    sys_config = make_sys_config(release, config, work)

    facts = [
      name: to_string(release.name),
      version: to_string(release.version),
      erts_version: to_string(release.erts_version),
      erts_source: path(release.erts_source),
      apps: for({app, mode} <- release.boot_scripts.start, do: rel_app(release, app, mode)),
      paths: for({_, props} <- release.applications, do: path(props[:path])) |> Enum.sort(),
      sys_config: sys_config,
      boot: if(release.config_providers == [], do: [], else: boot_args()),
      runtime: path(runtime_path(release, config)),
      consolidated: path(consolidated(config)),
      env_sh: template(release, "env.sh"),
      vm_args: template(release, "vm.args"),
      remote_vm_args: template(release, "remote.vm.args"),
      overlays: Enum.map(overlays(release), &path/1),
      strip_beams: Keyword.get(release.options, :strip_beams, true) != false,
      strip_keep: strip_keep(release.options[:strip_beams]),
      cookie: release.options[:cookie] != nil,
      steps: after_steps != [],
      functions: after_steps != [] or before_steps?(config)
    ]

    text = for fact <- facts, do: :io_lib.format("~tp.~n", [fact])
    File.write!(file, ["%% coding: utf-8\n", :unicode.characters_to_binary(text)])
  end

  @doc false
  # As mix knows it, changed by the functions before :assemble; what is left of its steps is behind that.
  def release(config), do: given_name() |> Mix.Release.from_config!(config, given_version()) |> run_before()

  defp run_before(%{steps: [:assemble | steps]} = release), do: %{release | steps: steps}
  defp run_before(%{steps: []} = release), do: release
  defp run_before(%{steps: [step | steps]} = release) when is_function(step), do: run(step, %{release | steps: steps}) |> run_before()
  defp run_before(%{steps: [_ | steps]} = release), do: run_before(%{release | steps: steps})

  @doc false
  def run(step, release) do
    case step.(release) do
      %Mix.Release{} = release -> release
      other -> Mix.raise("Expected step #{inspect(step)} to return a Mix.Release, got: #{inspect(other)}")
    end
  end

  defp before_steps?(config) do
    release = Mix.Release.from_config!(given_name(), config, given_version())
    release.steps |> Enum.take_while(&(&1 != :assemble)) |> Enum.any?(&is_function/1)
  end

  defp strip_keep(options) when is_list(options), do: options |> Keyword.get(:keep) |> List.wrap() |> Enum.map(&to_charlist/1)
  defp strip_keep(_), do: []

  # What relpack.json says.
  defp given_name, do: if(name = given("RELPACK_NAME"), do: String.to_atom(name))
  defp given_version, do: if(version = given("RELPACK_VERSION"), do: [version: version], else: [])

  defp given(variable) do
    if System.get_env(variable, "") != "", do: System.get_env(variable)
  end

  defp path(nil), do: []
  defp path(path), do: path |> to_string() |> Path.expand()

  defp rel_app(release, app, mode) do
    props = Map.fetch!(release.applications, app)

    case props[:included_applications] || [] do
      [] -> {app, props[:vsn], mode}
      included -> {app, props[:vsn], mode, included}
    end
  end

  defp runtime_path(release, config) do
    given = release.options[:runtime_config_path]
    default = (config[:config_path] || "config/config.exs") |> Path.dirname() |> Path.join("runtime.exs")

    cond do
      given == false -> nil
      given -> given
      File.regular?(default) -> default
      true -> nil
    end
  end

  defp add_runtime_config(release, config) do
    case runtime_path(release, config) do
      nil ->
        release

      _ ->
        on_target = {:system, "RELEASE_ROOT", "/releases/#{release.version}/runtime.exs"}
        opts = [path: on_target, env: Mix.env(), target: Mix.target(), imports: :disabled]
        update_in(release.config_providers, &[{Config.Reader, opts} | &1])
    end
  end

  defp make_sys_config(release, config, work) do
    build_time =
      if File.regular?(config[:config_path]),
        do: Config.Reader.read!(config[:config_path], env: Mix.env(), target: Mix.target()),
        else: []

    # Where the launcher lets the booting system write its merged configuration.
    provider_path = {:system, "RELEASE_SYS_CONFIG", ".config"}

    case Mix.Release.make_sys_config(%{release | version_path: work}, build_time, provider_path) do
      :ok -> File.read!(Path.join(work, "sys.config"))
      {:error, message} -> Mix.raise("Could not make sys.config: " <> message)
    end
  end

  # boot/0 since Elixir 1.13; before it took the place of its data.
  defp boot_args do
    Code.ensure_loaded!(Config.Provider)
    if function_exported?(Config.Provider, :boot, 0), do: {:boot, []}, else: {:boot, [:elixir, :config_providers]}
  end

  defp consolidated(config) do
    if config[:consolidate_protocols], do: Mix.Project.consolidation_path(config)
  end

  # From rel/NAME.eex; without one relpack's own is taken.
  defp template(release, name) do
    file = Mix.Release.rel_templates_path(release, name <> ".eex")
    if File.exists?(file), do: EEx.eval_file(file, assigns: [release: release]), else: []
  end

  defp overlays(release) do
    default = Mix.Release.rel_templates_path(release, "overlays")
    if(File.dir?(default), do: [default], else: []) ++ List.wrap(release.options[:overlays])
  end
end

defmodule Mix.Tasks.Relpack.Steps do
  use Mix.Task

  # "relpack.steps TREE": the functions behind :assemble, on the tree that was assembled there.
  def run([path]) do
    Mix.Project.get!()
    Mix.Task.run("compile", ["--no-compile"])
    release = Mix.Tasks.Relpack.Facts.release(Mix.Project.config())
    version_path = Path.join([path, "releases", to_string(release.version)])
    steps(%{release | path: path, version_path: version_path})
  end

  defp steps(%{steps: [step | steps]} = release) when is_function(step),
    do: Mix.Tasks.Relpack.Facts.run(step, %{release | steps: steps}) |> steps()

  defp steps(%{steps: [_ | steps]} = release), do: steps(%{release | steps: steps})
  defp steps(%{steps: []}), do: :ok
end
