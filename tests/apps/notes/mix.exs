# SPDX-License-Identifier: Apache-2.0
defmodule Notes.MixProject do
  use Mix.Project

  def project do
    [
      app: :notes,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: [{:sqlite3, path: sqlite3_dir(), compile: "true"}],
      releases: [notes: [include_executables_for: [:unix]]]
    ]
  end

  def application do
    [mod: {Notes.Application, []}, extra_applications: [:logger, :inets]]
  end

  # Debian installs it with OTP, but in a folder (p1_sqlite3-V) that is not named for the
  # application, where `mix release` does not find it by itself.
  defp sqlite3_dir do
    :sqlite3 |> :code.which() |> Path.dirname() |> Path.dirname()
  end
end
