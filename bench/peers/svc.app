%% SPDX-License-Identifier: ISC
{application, svc,
 [{description, "A service with names and state, on one of two nodes"},
  {vsn, "1"},
  {modules, [svc_app, svc_sup, svc_server]},
  {registered, [svc_sup, svc_server]},
  {applications, [kernel, stdlib]},
  {env, [{names, 1}, {state, 0}, {kept, nowhere}, {file, "svc.state"}]},
  {mod, {svc_app, []}},
  {start_phases, [{takeover, []}, {go, []}]}]}.
