# SPDX-License-Identifier: Apache-2.0
defmodule Orchard.MixProject do
  use Mix.Project

  def project do
    [
      app: :orchard,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      releases: [orchard: [include_executables_for: [:unix], include_erts: false]]
    ]
  end

  def application do
    [mod: {Orchard.Application, []}, extra_applications: [:logger]]
  end
end
