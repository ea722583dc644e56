# SPDX-License-Identifier: Apache-2.0
defmodule Notes.Store do
  @moduledoc "Counts the readings of the notes, which lie in SQLite. Its state is a map."
  use GenServer

  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)
  def read, do: GenServer.call(__MODULE__, :read)
  def readings, do: GenServer.call(__MODULE__, :readings)
  def since, do: GenServer.call(__MODULE__, :since)

  @impl true
  def init([]), do: {:ok, from(0)}

  @impl true
  def handle_call(:read, _from, state),
    do: {:reply, Notes.Release.titles(), %{state | readings: state.readings + 1}}

  def handle_call(:readings, _from, state), do: {:reply, state.readings, state}
  def handle_call(:since, _from, state), do: {:reply, state.since, state}

  # From 0.1.0, which keeps the bare number; and back to it.
  @impl true
  def code_change({:down, _version}, %{readings: n}, _extra), do: {:ok, n}
  def code_change(_from, n, _extra) when is_integer(n), do: {:ok, from(n)}
  def code_change(_from, state, _extra), do: {:ok, state}

  defp from(n), do: %{readings: n, since: System.system_time(:second)}
end
