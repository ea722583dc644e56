# SPDX-License-Identifier: Apache-2.0
defmodule Notes.Web do
  @moduledoc "The pages, as a callback module of OTP's own HTTP server."
  require Record

  Record.defrecordp(:mod, Record.extract(:mod, from_lib: "inets/include/httpd.hrl"))

  def child_spec(port) do
    root = to_charlist(System.tmp_dir!())

    options = [
      port: port,
      bind_address: {127, 0, 0, 1},
      server_name: 'notes',
      server_root: root,
      document_root: root,
      modules: [__MODULE__]
    ]

    %{id: __MODULE__, type: :supervisor, start: {:inets, :start, [:httpd, options, :stand_alone]}}
  end

  # `httpd` calls a function of this name.
  def unquote(:do)(request) do
    {status, line} = request |> mod(:request_uri) |> to_string() |> page()
    body = String.to_charlist(line <> "\n")
    head = [code: status, content_length: to_charlist(length(body)), content_type: 'text/plain']
    {:proceed, [response: {:response, head, body}]}
  end

  defp page("/version"), do: {200, version()}
  defp page("/notes"), do: {200, Notes.Render.line(Notes.Store.read())}
  defp page("/readings"), do: {200, Notes.Render.line(Notes.Store.readings())}
  defp page("/greeting"), do: {200, Application.fetch_env!(:notes, :greeting)}
  defp page("/motd"), do: {200, System.get_env("NOTES_MOTD", "none")}
  defp page("/pid"), do: {200, System.pid()}

  defp page("/slow") do
    Process.sleep(2000)
    {200, version()}
  end

  defp page(_), do: {404, "not here"}

  defp version, do: "notes 0.1.0"
end
