#!/usr/bin/env escript
%% sql.escript flip|rebind|odd|load …
%%
%% What the tests and the benchmark of the exchange type x-sql do through real connections: AMQP 1.0 for messages, AMQP
%% 0-9-1 for bindings. Runs inside a node of the image, with RabbitMQ's own clients; test.sh and bench.sh copy it there.
%% Exchanges and queues are made by its callers. Prints one line of JSON.
-mode(compile).

-include_lib("amqp_client/include/amqp_client.hrl").
-include_lib("amqp10_common/include/amqp10_framing.hrl").

-define(USER, <<"admin">>).
-define(PASSWORD, <<"test">>).
-define(WINDOW, 200).
-define(PATIENCE_MS, 30_000).
%% The brokers agree on many changes at once nearly as fast as on one.
-define(WORKERS, 8).

main(["flip", Exchange, Queue, Seconds | Hosts]) -> print(flip(bin(Exchange), bin(Queue), seconds(Seconds), Hosts));
main(["rebind", Exchange, Queue, Count, Host]) -> print(rebind(bin(Exchange), bin(Queue), list_to_integer(Count), Host));
main(["odd", Exchange, Count, Host]) -> print(odd(bin(Exchange), list_to_integer(Count), Host));
main(["load", Exchange, Seconds, Host]) -> print(load(bin(Exchange), seconds(Seconds), Host)).

%% --- flip: messages that match both of two filters flow while the queue's binding changes from one to the other and
%% back, each time by "bind the new one, unbind the old one".

flip(Exchange, Queue, Time, [Sending, Binding, Receiving]) ->
    _ = spawn_link(fun() -> flipping(Exchange, Queue, Binding) end),
    Self = self(),
    Receiver = spawn_link(fun() -> receiving(Queue, Receiving, Self) end),
    {Sent, Outcomes} = sending(sender(Sending, Exchange), Time, fun(N) -> message(N, N) end),
    true = Sent > 0,
    Receiver ! {expect, Sent},
    receive
        {received, Seen, Doubled} ->
            #{sent => Sent, released => maps:get(released, Outcomes, 0), accepted => maps:get(accepted, Outcomes, 0),
              lost => Sent - Seen, doubled => Doubled, flips => flips()}
    end.

%% The queue is bound by the first filter already.
flipping(Exchange, Queue, Host) ->
    Channel = channel(Host),
    register(flipper, self()),
    flipping(Channel, Exchange, Queue, 0).

flipping(Channel, Exchange, Queue, Flips) ->
    bind(Channel, Exchange, Queue, filters(Flips + 1)),
    unbind(Channel, Exchange, Queue, filters(Flips)),
    receive
        {flips, From} -> From ! {flips, Flips + 1}
    after 0 -> flipping(Channel, Exchange, Queue, Flips + 1)
    end.

flips() ->
    flipper ! {flips, self()},
    receive {flips, Flips} -> Flips end.

%% Each change has a filter of its own, as each change in earnest has; the first is what test.sh bound.
filters(0) -> [{<<"x-sql-filter">>, longstr, <<"n >= 0">>}];
filters(N) when N rem 2 =:= 0 -> [{<<"x-sql-filter">>, longstr, text("n >= 0 AND n <> -~b", [N])}];
filters(N) -> [{<<"x-subject-filter">>, longstr, <<"order.#">>}, {<<"note">>, longstr, text("~b", [N])}].

%% Sends what Message makes of each number, with a window, and waits for all outcomes.
sending(Link, Time, Message) ->
    sending(Link, erlang:monotonic_time(millisecond) + Time, Message, 0, 0, #{}).

sending(Link, End, Message, Sent, Open, Outcomes) ->
    case erlang:monotonic_time(millisecond) < End of
        true when Open < ?WINDOW ->
            send(Link, Message(Sent)),
            sending(Link, End, Message, Sent + 1, Open + 1, Outcomes);
        _ when Open =:= 0 ->
            {Sent, Outcomes};
        _ ->
            sending(Link, End, Message, Sent, Open - 1, maps:update_with(outcome(), fun(N) -> N + 1 end, 1, Outcomes))
    end.

outcome() ->
    receive
        {amqp10_disposition, {Outcome, _Tag}} -> Outcome;
        {amqp10_event, {_, _, {Ended, Why}}} when Ended =:= closed; Ended =:= ended; Ended =:= detached -> fail({Ended, Why})
    after ?PATIENCE_MS -> fail(no_outcome)
    end.

receiving(Queue, Host, Main) ->
    Link = receiver(Host, Queue),
    receiving(Link, Main, #{}, 0, infinity).

receiving(_Link, Main, Seen, Doubled, Expected) when map_size(Seen) >= Expected ->
    %% What is doubled may come last.
    Late = fun Late(N) -> receive {amqp10_msg, _, _} -> Late(N + 1) after 1_000 -> N end end,
    Main ! {received, map_size(Seen), Doubled + Late(0)};
receiving(Link, Main, Seen, Doubled, Expected) ->
    receive
        {expect, Count} ->
            receiving(Link, Main, Seen, Doubled, Count);
        {amqp10_msg, _, Msg} ->
            ok = amqp10_client:accept_msg(Link, Msg),
            #{<<"n">> := N} = amqp10_msg:application_properties(Msg),
            case Seen of
                #{N := _} -> receiving(Link, Main, Seen, Doubled + 1, Expected);
                _ -> receiving(Link, Main, Seen#{N => []}, Doubled, Expected)
            end
    after case Expected of infinity -> ?PATIENCE_MS; _ -> 5_000 end ->
        Main ! {received, map_size(Seen), Doubled}
    end.

%% --- rebind: a queue is bound and unbound again, each time by a filter that was never there, and a message routed by each.

rebind(Exchange, Queue, Count, Host) ->
    Workers = [spawn_monitor(fun() -> rebinding(Exchange, Queue, lists:seq(First, Count, ?WORKERS), Host) end)
               || First <- lists:seq(1, ?WORKERS)],
    Matched = lists:sum([receive {'DOWN', Monitor, process, _, {matched, N}} -> N;
                                 {'DOWN', Monitor, process, _, Reason} -> fail(Reason)
                         end || {_, Monitor} <- Workers]),
    #{rebinds => Count, accepted => Matched}.

rebinding(Exchange, Queue, Numbers, Host) ->
    Channel = channel(Host),
    Link = sender(Host, Exchange),
    exit({matched, length([N || N <- Numbers, rebind_once(Channel, Exchange, Queue, Link, N) =:= accepted])}).

rebind_once(Channel, Exchange, Queue, Link, N) ->
    %% Each with identifiers, texts and a pattern of its own.
    Args = [{<<"x-sql-filter">>, longstr, text("n = ~b OR p~b LIKE '_~b%x%' OR [q ~b] = 'r~b'", [N, N, N, N, N])},
            {<<"x-subject-filter">>, longstr, case N rem 2 of 0 -> <<"#">>; 1 -> text("#.~b.#", [N]) end}],
    bind(Channel, Exchange, Queue, Args),
    send(Link, message(N, N, text("order.~b.x", [N]))),
    Outcome = outcome(),
    unbind(Channel, Exchange, Queue, Args),
    Outcome.

%% --- odd: messages that hold what no filter can do anything with, one after another through one session.

odd(Exchange, Count, Host) ->
    Link = sender(Host, Exchange),
    Outcomes = lists:foldl(
                 fun(N, Outcomes) ->
                         Payload = [amqp10_framing:encode_bin(Section) || Section <- odd_sections(N)],
                         send(Link, amqp10_raw_msg:new(false, tag(N), iolist_to_binary(Payload))),
                         maps:update_with(outcome(), fun(Sum) -> Sum + 1 end, 1, Outcomes)
                 end, #{}, lists:seq(1, Count)),
    Outcomes#{sent => Count}.

odd_sections(N) ->
    Values = [null, true, {ulong, 1 bsl 64 - 1}, {long, -(1 bsl 63)}, {double, 1.7e308}, {char, 16#10FFFF}, {timestamp, -1},
              {uuid, <<1:128>>}, {utf8, <<255, 0, 254>>}, {utf8, binary:copy(<<"a.">>, 50_000)}, {symbol, <<>>}, {binary, <<255>>},
              {as_is, 16#82, <<16#7FF8:16, 0:48>>}, {as_is, 16#82, <<16#FFF0:16, 0:48>>}, {as_is, 16#74, <<1:32>>},
              {as_is, 16#94, <<1:128>>}, {list, [{int, 1}, {list, []}]}, {map, [{{utf8, <<"k">>}, {map, []}}]},
              {array, int, [{int, 1}]}, {float, -0.0}],
    Value = fun(Offset) -> lists:nth(1 + (N + Offset) rem length(Values), Values) end,
    Subject = case N rem 5 of 0 -> [{utf8, binary:copy(<<"a.">>, 5_000)}]; 1 -> [{utf8, <<255>>}]; _ -> [] end,
    Properties = [#'v1_0.properties'{subject = S} || S <- Subject],
    Application = case N rem 7 of
                      0 -> [];
                      1 -> [#'v1_0.application_properties'{content = []}];
                      _ -> [#'v1_0.application_properties'{
                               content = [{{utf8, <<"x">>}, Value(0)}, {{utf8, <<"y">>}, Value(N div 20)}]}]
                  end,
    Properties ++ Application ++ [#'v1_0.data'{content = <<>>}].

%% --- load: as many messages as the broker takes, then one at a time.

load(Exchange, Time, Host) ->
    Link = sender(Host, Exchange),
    %% Connections, code and queues get warm.
    Message = fun(N) -> message(N, 1) end,
    _ = sending(Link, Time div 6, Message),
    Begin = erlang:monotonic_time(microsecond),
    {Sent, Outcomes} = sending(Link, Time, Message),
    Took = erlang:monotonic_time(microsecond) - Begin,
    Latencies = lists:sort(one_at_a_time(Link, erlang:monotonic_time(millisecond) + Time div 2)),
    #{accepted => maps:get(accepted, Outcomes, 0), sent => Sent, per_second => round(Sent * 1_000_000 / Took),
      p50_ms => percentile(Latencies, 50) / 1000, p99_ms => percentile(Latencies, 99) / 1000}.

one_at_a_time(Link, End) ->
    Begin = erlang:monotonic_time(microsecond),
    send(Link, message(1, 1)),
    accepted = outcome(),
    Now = erlang:monotonic_time(microsecond),
    [Now - Begin | case erlang:monotonic_time(millisecond) < End of true -> one_at_a_time(Link, End); false -> [] end].

percentile(Sorted, P) -> lists:nth(max(1, ceil(length(Sorted) * P / 100)), Sorted).

%% --- connections

session(Host) ->
    {ok, _} = application:ensure_all_started(amqp10_client),
    {ok, Connection} = amqp10_client:open_connection(
                         #{address => Host, port => 5672, container_id => text("sql-~b", [erlang:unique_integer([positive])]),
                           sasl => {plain, ?USER, ?PASSWORD}}),
    {ok, Session} = amqp10_client:begin_session_sync(Connection),
    Session.

sender(Host, Exchange) ->
    {ok, Link} = amqp10_client:attach_sender_link_sync(session(Host), <<"sender">>, <<"/exchanges/", Exchange/binary>>, unsettled),
    receive {amqp10_event, {link, Link, credited}} -> Link after ?PATIENCE_MS -> fail(no_credit) end.

receiver(Host, Queue) ->
    {ok, Link} = amqp10_client:attach_receiver_link(session(Host), <<"receiver">>, <<"/queues/", Queue/binary>>, unsettled),
    receive {amqp10_event, {link, Link, attached}} -> ok after ?PATIENCE_MS -> fail(not_attached) end,
    ok = amqp10_client:flow_link_credit(Link, ?WINDOW, ?WINDOW div 2),
    Link.

%% The broker grants fewer credits than the window has room for.
send(Link, Msg) ->
    case amqp10_client:send_msg(Link, Msg) of
        ok -> ok;
        {error, insufficient_credit} ->
            receive {amqp10_event, {link, Link, credited}} -> send(Link, Msg) after ?PATIENCE_MS -> fail(no_credit) end
    end.

message(Number, N) -> message(Number, N, <<"order.created.1">>).

message(Number, N, Subject) ->
    Msg = amqp10_msg:new(tag(Number), <<"x">>, false),
    amqp10_msg:set_application_properties(
      #{<<"n">> => N, <<"region">> => <<"eu-west">>},
      amqp10_msg:set_properties(#{subject => Subject}, amqp10_msg:set_headers(#{durable => true}, Msg))).

tag(N) -> <<N:64>>.

channel(Host) ->
    {ok, _} = application:ensure_all_started(amqp_client),
    {ok, Connection} = amqp_connection:start(
                         #amqp_params_network{username = ?USER, password = ?PASSWORD, host = Host}),
    {ok, Channel} = amqp_connection:open_channel(Connection),
    Channel.

bind(Channel, Exchange, Queue, Args) ->
    #'queue.bind_ok'{} = amqp_channel:call(Channel, #'queue.bind'{queue = Queue, exchange = Exchange, arguments = Args}).

unbind(Channel, Exchange, Queue, Args) ->
    #'queue.unbind_ok'{} = amqp_channel:call(Channel, #'queue.unbind'{queue = Queue, exchange = Exchange, arguments = Args}).

%% --- the rest

seconds(Text) -> 1000 * list_to_integer(Text).

bin(Text) -> list_to_binary(Text).

text(Format, Values) -> iolist_to_binary(io_lib:format(Format, Values)).

fail(Reason) -> error(Reason).

print(Map) -> io:format("~ts~n", [json:encode(Map)]).
