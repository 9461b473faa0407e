%% SPDX-License-Identifier: ISC
%% The service: n global names, and s bytes of state. The state is one binary, the form that costs least to
%% copy and to send. After a crash it is read from a file, or taken from a replica that the standby node holds.
-module(svc_server).
-behaviour(gen_server).
-export([start_link/1, fetch/1, go/0, keep/0]).
-export([init/1, handle_call/3, handle_cast/2]).

start_link(Type) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Type, []).

fetch(From) ->
    gen_server:call(?MODULE, {fetch, From}, infinity).

go() ->
    gen_server:call(?MODULE, go, infinity).

%% Make sure that the state outlives this node.
keep() ->
    gen_server:call(?MODULE, keep, infinity).

init(normal) ->
    {ok, binary:copy(<<1>>, env(state))};
init({failover, _From}) ->
    {ok, restore(env(kept))};
init({takeover, _From}) ->
    {ok, <<>>}.

handle_call(ping, _From, Data) ->
    {reply, pong, Data};
handle_call(where, _From, Data) ->
    {reply, {node(), byte_size(Data)}, Data};
handle_call(state, _From, Data) ->
    {reply, Data, Data};
handle_call({fetch, Node}, _From, _) ->
    {reply, ok, gen_server:call({?MODULE, Node}, state, infinity)};
handle_call(go, _From, Data) ->
    [yes = global:re_register_name({svc, I}, self()) || I <- lists:seq(1, env(names))],
    {reply, ok, Data};
handle_call(keep, _From, Data) ->
    {reply, save(env(kept), Data), Data}.

handle_cast(_, Data) ->
    {noreply, Data}.

save(nowhere, _) -> ok;
save(file, Data) -> file:write_file(env(file), Data);
save(replica, Data) -> lists:foreach(fun(Node) -> svc_store:put(Node, Data) end, nodes()).

restore(nowhere) -> binary:copy(<<1>>, env(state));
restore(file) -> {ok, Data} = file:read_file(env(file)), Data;
restore(replica) -> svc_store:get().

env(Key) ->
    {ok, Value} = application:get_env(svc, Key),
    Value.
