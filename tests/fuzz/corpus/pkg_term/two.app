{application, shop,
 [{description, "Shop"}, {vsn, "0.1.0"}, {modules, []}, {registered, []},
  {applications, [kernel, stdlib]}]}.
{b}.
