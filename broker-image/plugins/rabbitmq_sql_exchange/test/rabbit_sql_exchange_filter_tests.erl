-module(rabbit_sql_exchange_filter_tests).

-include("../../check.hrl").
-include_lib("rabbit_common/include/rabbit_framing.hrl").

-import(rabbit_sql_exchange_messages, [amqp/1, amqp/2, amqpl/2, mqtt/1]).

parse_test_() ->
    [{"a filter over properties and application properties",
      ?_assertMatch({ok, _}, rabbit_sql_exchange_filter:parse(<<"price > 10 AND properties.subject = 'order'">>))},
     {"a filter at RabbitMQ's limit of characters",
      ?_assertMatch({ok, _}, rabbit_sql_exchange_filter:parse(filter_of_length(4096)))}].

%% What the author of a bad filter is told.
refusal_test_() ->
    [{Title, ?_assertEqual({error, Reason}, rabbit_sql_exchange_filter:parse(Sql))}
     || {Title, Sql, Reason} <-
            [{"empty", <<>>, <<"it is empty">>},
             {"blank", <<"  \n ">>, <<"it is empty">>},
             {"cut off", <<"price >">>, <<"it ends too early">>},
             {"unknown characters", <<"price ; 1">>, <<"illegal character \";\"">>},
             {"wrong order", <<"price > > 1">>, <<"syntax error before: '>'">>},
             {"too long", filter_of_length(4097), <<"it has 4097 characters, more than 4096">>},
             {"too many tokens", many_tokens(201), <<"it has 201 tokens, more than 200">>},
             {"not UTF-8", <<"a = '", 255, "'">>, <<"it is not UTF-8">>}]].

%% More bad filters, of which only that they are refused with some reason matters.
refused_test_() ->
    [?_assertMatch({error, <<_, _/binary>>}, rabbit_sql_exchange_filter:parse(Sql))
     || Sql <- [<<"a LIKE 'x!' ESCAPE '!'">>, <<"a LIKE 'x' ESCAPE 'long'">>, <<"a IN ()">>, <<"a = 1 OR">>,
                <<"price like 'x'">>, <<"(a = 1">>, <<"a = 1)">>, <<"NOT">>, <<"unknown_function(1)">>,
                <<"a = 'unclosed">>, <<0>>]].

%% The HTTP API cannot give a reason that is not ASCII.
reason_is_ascii_test_() ->
    [begin
         {error, Reason} = rabbit_sql_exchange_filter:parse(Sql),
         ?_assertEqual([], [Byte || <<Byte>> <= Reason, Byte < 32 orelse Byte > 126])
     end
     || Sql <- [<<"größe = 1"/utf8>>, <<"a = ‘x’"/utf8>>, <<16#FEFF/utf8, "a = 1">>, <<"a", 16#A0/utf8, "= 1">>]].

matches_test_() ->
    [{lists:flatten(io_lib:format("~ts / ~p", [Sql, Properties])),
      ?_assertEqual(Expected, matches(Sql, amqp(Properties)))}
     || {Expected, Sql, Properties} <-
            [{true, <<"price > 10">>, [{<<"price">>, {uint, 11}}]},
             {false, <<"price > 10">>, [{<<"price">>, {uint, 10}}]},
             {true, <<"price > 10">>, [{<<"price">>, {double, 10.5}}]},
             {true, <<"region IN ('eu', 'us')">>, [{<<"region">>, {utf8, <<"eu">>}}]},
             {true, <<"region LIKE 'eu-%'">>, [{<<"region">>, {utf8, <<"eu-west">>}}]},
             {false, <<"region LIKE 'eu-%'">>, [{<<"region">>, {utf8, <<"us-east">>}}]},
             {true, <<"region LIKE 'e_-%st'">>, [{<<"region">>, {utf8, <<"eu-west">>}}]},
             {true, <<"urgent">>, [{<<"urgent">>, true}]},
             {true, <<"urgent = TRUE">>, [{<<"urgent">>, {boolean, true}}]},
             {true, <<"region IS NULL">>, []},
             {true, <<"[with space] = 1">>, [{<<"with space">>, {int, 1}}]},
             %% Unknown is not true, whichever way it is asked.
             {false, <<"price > 10">>, []},
             {false, <<"NOT (price > 10)">>, []},
             {false, <<"price = 1 OR other = 2">>, [{<<"price">>, {int, 3}}]}]].

%% What Erlang has no simple value for is as if it were not there.
absent_values_test_() ->
    [{lists:flatten(io_lib:format("~p", [Value])), ?_assert(matches(<<"x IS NULL">>, amqp([{<<"x">>, Value}])))}
     || Value <- [null, {list, [{int, 1}]}, {map, []}, {array, int, [{int, 1}]}, {as_is, 16#82, <<16#7FF8:16, 0:48>>},
                  {as_is, 16#82, <<16#7FF0:16, 0:48>>}, {as_is, 16#74, <<1:32>>}, {as_is, 16#94, <<1:128>>}]].

properties_section_test_() ->
    Msg = amqp(#{subject => {utf8, <<"order.created">>}, message_id => {utf8, <<"id-1">>}}, []),
    [?_assert(matches(<<"properties.subject LIKE 'order.%'">>, Msg)),
     ?_assert(matches(<<"properties.message_id = 'id-1'">>, Msg)),
     ?_assert(matches(<<"header.priority = 4">>, Msg)),
     ?_assertNot(matches(<<"properties.subject = 'other'">>, Msg)),
     ?_assertNot(matches(<<"properties.to = 'somewhere'">>, Msg))].

%% The same filter for messages of every protocol the broker takes.
protocols_test_() ->
    [{"AMQP 0-9-1 headers",
      ?_assert(matches(<<"price > 10">>, amqpl(#'P_basic'{}, [{<<"price">>, signedint, 11}])))},
     {"AMQP 0-9-1 properties",
      ?_assert(matches(<<"properties.correlation_id = 'c' AND header.priority = 7">>,
                       amqpl(#'P_basic'{correlation_id = <<"c">>, priority = 7}, [])))},
     {"AMQP 0-9-1 tables and arrays do not match and do not fail",
      ?_assertNot(matches(<<"price > 10">>, amqpl(#'P_basic'{}, [{<<"price">>, array, [{signedint, 11}]}])))},
     {"AMQP 0-9-1 without headers",
      ?_assertNot(matches(<<"price > 10">>, amqpl(#'P_basic'{}, undefined)))},
     {"MQTT 5 user properties",
      ?_assert(matches(<<"price = '11'">>, mqtt([{<<"price">>, <<"11">>}])))},
     {"MQTT without user properties",
      ?_assertNot(matches(<<"price = '11'">>, mqtt([])))}].

matches(Sql, Msg) ->
    {ok, Filter} = rabbit_sql_exchange_filter:parse(Sql),
    rabbit_sql_exchange_filter:eval(Filter, Msg).

filter_of_length(N) -> <<"a = '", (binary:copy(<<"x">>, N - 6))/binary, "'">>.

%% a + a + … > 1: an odd number of tokens.
many_tokens(N) -> iolist_to_binary([lists:duplicate((N - 3) div 2, "a + "), "a > 1"]).
