# SPDX-License-Identifier: Apache-2.0
defmodule Notes.Store do
  @moduledoc "Counts the readings of the notes, which lie in SQLite. Its state is the bare number."
  use GenServer

  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)
  def read, do: GenServer.call(__MODULE__, :read)
  def readings, do: GenServer.call(__MODULE__, :readings)

  @impl true
  def init([]), do: {:ok, 0}

  @impl true
  def handle_call(:read, _from, n), do: {:reply, Notes.Release.titles(), n + 1}
  def handle_call(:readings, _from, n), do: {:reply, n, n}

  # Back from 0.2.0, which keeps a map.
  @impl true
  def code_change(_from, %{readings: n}, _extra), do: {:ok, n}
  def code_change(_from, n, _extra), do: {:ok, n}
end
