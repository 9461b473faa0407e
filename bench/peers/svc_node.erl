%% SPDX-License-Identifier: ISC
%% A node's end of the benchmark: takes commands as lines on standard input, answers with lines. All times are
%% nanoseconds of the clock that the benchmark itself reads (CLOCK_MONOTONIC).
-module(svc_node).
-export([main/0]).

main() ->
    spawn(fun begin_here/0).

begin_here() ->
    {ok, _} = svc_store:start(),
    ok = application:load(svc),
    %% As a release does: nothing is loaded from disk in the middle of a takeover.
    [{module, _} = code:ensure_loaded(M) || M <- [svc_app, svc_sup, svc_server, svc_store]],
    say("up ~b", [os:perf_counter(nanosecond)]),
    loop().

loop() ->
    case io:get_line("") of
        eof -> erlang:halt(0);
        Line ->
            try
                run(string:lexemes(string:trim(Line), " "))
            catch
                Class:Reason -> say("~0p ~0p", [Class, Reason])
            end,
            loop()
    end.

say(Format, Arguments) ->
    io:format(Format ++ "~n", Arguments).

%% Of the application, on this node.
run(["sync"]) ->
    ok = global:sync(),
    say("ok", []);
run(["start"]) ->
    ok = application:start(svc),
    say("ok", []);
run(["here"]) ->
    say("~p", [whereis(svc_sup) =/= undefined]);
run(["keep"]) ->
    ok = svc_server:keep(),
    say("ok", []);
run(["takeover"]) ->
    Begin = now_ns(),
    ok = application:takeover(svc, temporary),
    say("took ~b ~b", [Begin, now_ns()]);
%% Commanded from outside: by another VM, which is no candidate.
run(["takeover", Node]) ->
    Begin = now_ns(),
    ok = rpc:call(list_to_atom(Node), application, takeover, [svc, temporary]),
    say("took ~b ~b", [Begin, now_ns()]);
%% When its last phase has returned.
run(["done"]) ->
    {ok, At} = application:get_env(svc, done),
    say("done ~b", [At]);
run(["standby"]) ->
    await_stopped(),
    say("ok", []);
%% All names are at this node, and the state is whole.
run(["check"]) ->
    {ok, Names} = application:get_env(svc, names),
    {ok, Size} = application:get_env(svc, state),
    Server = whereis(svc_server),
    [] = [{I, Where} || I <- lists:seq(1, Names), (Where = global:whereis_name({svc, I})) =/= Server],
    {Node, Size} = gen_server:call({global, {svc, Names}}, where, infinity),
    Node = node(),
    say("ok", []);
run(["known"]) ->
    {ok, Names} = application:get_env(svc, names),
    [ok = await_name({svc, I}) || I <- lists:seq(1, Names)],
    say("ok", []);
%% Call on and on, by the name that is registered last, and tell when this node has answered first.
run(["watch"]) ->
    {ok, Names} = application:get_env(svc, names),
    say("watching", []),
    spawn(fun() -> watch({svc, Names}) end);

%% Of single operations: a line for each sample, then "end".
run(["whereis", Count, Batch]) ->
    Times = list_to_integer(Batch),
    each(Count, fun() -> whereis_often(Times) end);
run(["re_register", Count]) ->
    each(Count, fun() -> yes = global:re_register_name(bench, self()) end),
    global:unregister_name(bench);
run(["register", Count]) ->
    each(Count,
         fun() -> yes = global:register_name(bench, self()) end,
         fun() -> global:unregister_name(bench) end);
run(["call", Count]) ->
    each(Count, fun() -> pong = gen_server:call({global, {svc, 1}}, ping) end).

await_stopped() ->
    case lists:keymember(svc, 1, application:which_applications(infinity)) orelse whereis(svc_sup) =/= undefined of
        true ->
            timer:sleep(1),
            await_stopped();
        false ->
            ok
    end.

%% A node that has just come up does not know the names yet.
await_name(Name) ->
    case global:whereis_name(Name) of
        undefined ->
            timer:sleep(1),
            await_name(Name);
        _ ->
            ok
    end.

watch(Name) ->
    case answered_by(Name) of
        Node when Node =:= node() -> say("first ~b", [os:perf_counter(nanosecond)]);
        _ -> watch(Name)
    end.

answered_by(Name) ->
    try
        {Node, _} = gen_server:call({global, Name}, where, infinity),
        Node
    catch
        exit:_ ->
            erlang:yield(),
            nobody
    end.

whereis_often(0) ->
    ok;
whereis_often(Times) ->
    true = is_pid(global:whereis_name({svc, 1})),
    whereis_often(Times - 1).

each(Count, Do) ->
    each(Count, Do, fun() -> ok end).

each(Count, Do, Undo) ->
    Samples = [sample(Do, Undo) || _ <- lists:seq(1, list_to_integer(Count))],
    io:put_chars([[integer_to_list(S), $\n] || S <- Samples]),
    say("end", []).

sample(Do, Undo) ->
    Begin = now_ns(),
    Do(),
    Took = now_ns() - Begin,
    Undo(),
    Took.

now_ns() ->
    os:perf_counter(nanosecond).
