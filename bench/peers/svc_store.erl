%% SPDX-License-Identifier: ISC
%% What a node holds of the state while the service runs on the other one.
-module(svc_store).
-behaviour(gen_server).
-export([start/0, put/2, get/0]).
-export([init/1, handle_call/3, handle_cast/2]).

start() ->
    gen_server:start({local, ?MODULE}, ?MODULE, [], []).

put(Node, Data) ->
    gen_server:call({?MODULE, Node}, {put, Data}, infinity).

get() ->
    gen_server:call(?MODULE, get, infinity).

init([]) ->
    {ok, <<>>}.

handle_call({put, Data}, _From, _) -> {reply, ok, Data};
handle_call(get, _From, Data) -> {reply, Data, Data}.

handle_cast(_, Data) ->
    {noreply, Data}.
