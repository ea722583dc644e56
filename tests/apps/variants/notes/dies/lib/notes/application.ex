# SPDX-License-Identifier: Apache-2.0
defmodule Notes.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args), do: raise("the paper is wet")
end
