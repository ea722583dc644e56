# SPDX-License-Identifier: Apache-2.0
defmodule Notes.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args) do
    port = Application.fetch_env!(:notes, :port)
    children = [Notes.Store, {Notes.Web, port}]
    Supervisor.start_link(children, strategy: :one_for_one, name: Notes.Supervisor)
  end
end
