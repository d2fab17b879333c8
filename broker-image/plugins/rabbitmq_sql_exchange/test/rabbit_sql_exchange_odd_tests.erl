%% Random filters against random messages that no decent sender sends: routing never fails, and says what RabbitMQ's
%% evaluator says of the message itself; where that one crashes, that the filter does not match.
-module(rabbit_sql_exchange_odd_tests).

-include("../../check.hrl").
-include_lib("amqp10_common/include/amqp10_framing.hrl").
-include_lib("rabbit_common/include/rabbit_framing.hrl").

-import(rabbit_sql_exchange_messages, [amqp_sections/1, amqpl/2, mqtt/1, stored/1]).

-define(ROUNDS, 10_000).
-define(NAMES, [<<"a">>, <<"b">>, <<"c">>, <<"ü"/utf8>>, <<"x-d">>, <<>>]).
-define(EXCHANGE, rabbit_misc:r(<<"vhost">>, exchange, <<"x">>)).

never_fails_test_() ->
    {setup, fun rabbit_sql_exchange_stats:init/0,
     {timeout, 120,
      fun() ->
              %% Printed by a test that fails.
              Seed = erlang:system_time(),
              rand:seed(exsss, Seed),
              Before = rabbit_sql_exchange_stats:evaluation_failures(),
              Matched = length([true || _ <- lists:seq(1, ?ROUNDS), matched(Seed)]),
              Failed = rabbit_sql_exchange_stats:evaluation_failures() - Before,
              %% Were these zero, the test would test nothing.
              ?assert(Matched > ?ROUNDS div 50),
              ?assert(Failed > 0)
      end}}.

matched(Seed) ->
    Msg = message(),
    Filter = filter(),
    Args = [{<<"x-sql-filter">>, longstr, Filter}],
    Subject = [{<<"x-subject-filter">>, longstr, pick([<<"#">>, <<"*.#">>, <<"a.*">>, <<"a">>, <<>>])}],
    Message = rabbit_sql_exchange_message:new(?EXCHANGE, Msg),
    Expected = try rabbit_amqp_filter_sql:eval(element(2, rabbit_sql_exchange_binding:compile(Args)), Msg) catch _:_ -> false end,
    ?assertEqual({Seed, Filter, Msg, Expected}, {Seed, Filter, Msg, matches(Args, Message)}),
    ?assert(is_boolean(matches(Subject, Message))),
    ?assert(matches([], Message)),
    Expected.

matches(Args, Message) -> rabbit_sql_exchange_binding:matches(Args, Message, rabbit_sql_exchange_cache:open()).

message() ->
    Msg = pick([fun amqp/0, fun amqp/0, fun() -> amqpl(basic(), pick([undefined, [], headers()])) end,
                fun() -> mqtt([{pick(?NAMES), text()} || _ <- some(4)]) end]),
    case rand:uniform(4) of
        1 -> stored(Msg());
        _ -> Msg()
    end.

amqp() ->
    amqp_sections(
      lists:append(
        [pick([[], [#'v1_0.header'{}], [#'v1_0.header'{priority = {ubyte, rand:uniform(256) - 1}, ttl = {uint, 16#FFFFFFFF}}]]),
         pick([[], [#'v1_0.message_annotations'{content = [{{symbol, <<"x-d">>}, value(2)}]}]]),
         pick([[], [#'v1_0.properties'{}],
               [#'v1_0.properties'{subject = {utf8, text()}, message_id = pick([{ulong, 1 bsl 64 - 1}, {uuid, <<0:128>>}, {binary, text()}]),
                                   user_id = {binary, text()}, to = {utf8, text()}, correlation_id = {utf8, text()},
                                   content_type = {symbol, text()}, creation_time = {timestamp, pick([-1, 0, 1 bsl 62])},
                                   group_sequence = {uint, 16#FFFFFFFF}}]]),
         pick([[], [#'v1_0.application_properties'{content = []}],
               [#'v1_0.application_properties'{content = [{{utf8, pick(?NAMES)}, value(2)} || _ <- some(5)]}]])])).

%% Every type AMQP 1.0 has, allowed in this section or not.
value(Depth) ->
    Simple = [null, true, false, {boolean, true}, {ubyte, 255}, {ushort, 65535}, {uint, 16#FFFFFFFF}, {ulong, 1 bsl 64 - 1},
              {byte, -128}, {short, -32768}, {int, -1}, {long, -(1 bsl 63)}, {float, 1.5}, {double, 1.7e308}, {double, -0.0},
              {char, 16#10FFFF}, {timestamp, -1}, {uuid, <<1:128>>}, {utf8, text()}, {symbol, text()}, {binary, text()},
              %% Not a number, infinite, and decimals, which Erlang has no value for.
              {as_is, 16#82, <<16#7FF8:16, 0:48>>}, {as_is, 16#82, <<16#7FF0:16, 0:48>>}, {as_is, 16#72, <<16#FF80:16, 0:16>>},
              {as_is, 16#74, <<1:32>>}, {as_is, 16#84, <<1:64>>}, {as_is, 16#94, <<1:128>>}],
    Nested = [fun() -> {list, [value(Depth - 1) || _ <- some(3)]} end,
              fun() -> {map, [{{utf8, text()}, value(Depth - 1)} || _ <- some(3)]} end,
              fun() -> {array, int, [{int, 1}, {int, 2}]} end],
    case Depth > 0 andalso rand:uniform(4) of
        1 -> (pick(Nested))();
        _ -> pick(Simple)
    end.

basic() ->
    Short = fun() -> pick([undefined, <<>>, <<"a">>, <<255, 0>>]) end,
    #'P_basic'{correlation_id = Short(), message_id = Short(), user_id = Short(),
               priority = pick([undefined, 0, 255]), timestamp = pick([undefined, 0, 1 bsl 63])}.

headers() ->
    [{pick(?NAMES), Type, Value} || _ <- some(5),
                                    {Type, Value} <- [pick([{longstr, text()}, {binary, text()}, {signedint, -1}, {long, 1 bsl 62},
                                                            {decimal, {2, 3}}, {timestamp, 0}, {table, [{<<"a">>, bool, true}]},
                                                            {array, [{bool, true}, {table, []}]}, {byte, -1}, {double, 1.0e308},
                                                            {float, 1.0}, {bool, true}, {void, undefined}, {unsignedint, 1}])]].

text() ->
    pick([<<>>, <<"a">>, <<"a.b">>, <<"größe"/utf8>>, <<255, 254, 0>>, <<0>>, binary:copy(<<"a.">>, 3_000), <<"1">>, <<"a\nb">>]).

filter() -> unicode:characters_to_binary(condition(3)).

condition(0) ->
    pick([["a ", pick(["=", "<>", "<", ">", "<=", ">="]), " ", operand(1)], [operand(1), " = ", operand(1)],
          ["b LIKE '", pick(["a%", "%b", "_%_", "%a%b%", "!_!%", "ü_"]), "' ESCAPE '!'"], "c IS NULL", "NOT a", "c",
          ["a IN (", operand(0), ", 'a', 1, TRUE, 0xFF)"], ["properties.creation_time > ", operand(0)],
          "properties.subject LIKE 'a.%'", "header.priority > 3", "properties.message_id = 'a'", "properties.group_sequence > 1"]);
condition(Depth) ->
    pick([condition(Depth - 1), ["(", condition(Depth - 1), ") ", pick(["AND", "OR"]), " (", condition(0), ")"],
          ["NOT (", condition(Depth - 1), ")"]]).

operand(0) -> pick(["a", "b", "[ü]", "[x-d]", "1", "-1.5", "1.0E308", "'a'", "TRUE", "0x00FF", "9223372036854775807", "UTC()"]);
operand(Depth) -> [operand(0), " ", pick(["+", "-", "*", "/", "%"]), " ", operand(Depth - 1), " * 1.0E200"].

some(Max) -> lists:seq(1, rand:uniform(Max + 1) - 1).

pick(List) -> lists:nth(rand:uniform(length(List)), List).
