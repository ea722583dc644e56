{application, hot,
 [{description, "Servers to be upgraded, and processes that call them meanwhile"},
  {vsn, "@VSN@"},
  {modules, [hot_app, hot_load, hot_server, hot_ways]},
  {registered, [hot_sup]},
  {applications, [kernel, stdlib, sasl, elixir]},
  {mod, {hot_app, []}}]}.
