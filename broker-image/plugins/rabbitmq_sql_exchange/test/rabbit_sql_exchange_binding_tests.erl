-module(rabbit_sql_exchange_binding_tests).

-include("../../check.hrl").
-include_lib("rabbit_common/include/rabbit_framing.hrl").

-import(rabbit_sql_exchange_messages, [amqp/1, amqp/2, amqp_sections/1, amqpl/2, mqtt/1, stored/1]).

-define(EXCHANGE, rabbit_misc:r(<<"vhost">>, exchange, <<"x">>)).

refusal_test_() ->
    [{binary_to_list(Reason), ?_assertEqual({error, Reason}, rabbit_sql_exchange_binding:compile(Args))}
     || {Args, Reason} <-
            [{[{<<"x-sql-filter">>, longstr, <<"a = ">>}], <<"x-sql-filter is not a valid SQL filter: it ends too early">>},
             {[{<<"x-sql-filter">>, signedint, 1}], <<"x-sql-filter must be a string, not of type signedint">>},
             {[{<<"x-subject-filter">>, bool, true}], <<"x-subject-filter must be a string, not of type bool">>},
             {[{<<"x-subject-filter">>, longstr, binary:copy(<<"#.">>, 9)}],
              <<"x-subject-filter is not a valid subject filter: it has 9 times #, more than 8">>},
             {[{<<"x-sql-filter">>, longstr, <<"TRUE">>}, {<<"x-sqlfilter">>, longstr, <<"a = 1">>}],
              <<"<<\"x-sqlfilter\">> is not an argument of this exchange's bindings: it has x-sql-filter and x-subject-filter">>}]].

accepted_test_() ->
    [?_test(?assertNotMatch({error, _}, rabbit_sql_exchange_binding:compile(Args)))
     || Args <- [[], [{<<"note">>, longstr, <<"x">>}], [{<<"x-bound-from">>, array, []}],
                 [{<<"x-sql-filter">>, longstr, <<"a = 1">>}, {<<"x-subject-filter">>, longstr, <<"#">>}]]].

both_must_hold_test_() ->
    Message = amqp(#{subject => {utf8, <<"order.eu">>}}, [{<<"price">>, {int, 10}}]),
    [{lists:flatten(io_lib:format("~p", [Args])), ?_assertEqual(Expected, matches(Args, Message))}
     || {Expected, Args} <-
            [{true, []}, {true, sql(<<"price = 10">>)}, {false, sql(<<"price = 11">>)},
             {true, subject(<<"order.*">>)}, {false, subject(<<"*.order">>)},
             {true, sql(<<"price = 10">>) ++ subject(<<"order.*">>)},
             {false, sql(<<"price = 11">>) ++ subject(<<"order.*">>)},
             {false, sql(<<"price = 10">>) ++ subject(<<"*.order">>)},
             {true, [{<<"note">>, longstr, <<"x">>}]}]].

%% What has no subject has the empty one.
subject_of_each_protocol_test_() ->
    [{Title, [?_assertEqual(Expected, matches(subject(<<"a.*">>), Message)),
              ?_assertEqual(not Expected, matches(subject(<<>>), Message)),
              ?_assert(matches(subject(<<"#">>), Message))]}
     || {Title, Expected, Message} <-
            [{"AMQP 1.0", true, amqp(#{subject => {utf8, <<"a.b">>}}, [])},
             {"AMQP 1.0, out of a queue", true, stored(amqp(#{subject => {utf8, <<"a.b">>}}, []))},
             {"AMQP 1.0 without", false, amqp(#{}, [])},
             {"AMQP 1.0 without properties", false, amqp_sections([])},
             {"AMQP 0-9-1", false, amqpl(#'P_basic'{type = <<"a.b">>}, [{<<"subject">>, longstr, <<"a.b">>}])},
             {"MQTT", false, mqtt([{<<"subject">>, <<"a.b">>}])}]].

%% All that a filter can ask for is there in the container made for it.
same_as_the_message_test_() ->
    Messages = [amqp(#{subject => {utf8, <<"s">>}, message_id => {utf8, <<"m">>}, priority => 7, creation_time => 5}, [{<<"a">>, {int, 1}}]),
                amqpl(#'P_basic'{correlation_id = <<"c">>, priority = 7, timestamp = 5, message_id = <<"m">>}, [{<<"a">>, signedint, 1}]),
                mqtt([{<<"a">>, <<"1">>}])],
    [{binary_to_list(Sql), ?_assertEqual({Sql, evaluated(Sql, Message)}, {Sql, matches(sql(Sql), Message)})}
     || Message <- Messages ++ [stored(M) || M <- Messages],
        Sql <- [<<"a = 1">>, <<"a IS NULL">>, <<"properties.subject = 's'">>, <<"properties.message_id = 'm'">>,
                <<"properties.correlation_id = 'c'">>, <<"header.priority = 7">>, <<"header.priority = 4">>,
                <<"properties.creation_time IS NULL">>, <<"properties.creation_time = 5">>,
                <<"properties.creation_time = 5000">>, <<"properties.user_id IS NULL">>, <<"properties.to IS NULL">>]].

failure_is_counted_and_told_once_test_() ->
    {setup, fun rabbit_sql_exchange_stats:init/0,
     fun() ->
             Failures = rabbit_sql_exchange_stats:evaluation_failures(),
             Lines = rabbit_sql_exchange_stats:log_lines(),
             %% Overflow of floating point numbers is a crash in the evaluator.
             Message = amqp([{<<"x">>, {double, 1.0e308}}]),
             [?assertNot(matches(sql(<<"x * x > 1">>), Message)) || _ <- lists:seq(1, 1_000)],
             ?assertNot(matches([{<<"x-sql-filter">>, bool, true}], Message)),
             ?assertNot(matches(subject(<<"*.a">>), amqp(#{subject => {utf8, binary:copy(<<"a">>, 5_000)}}, []))),
             ?assertEqual(Failures + 1_002, rabbit_sql_exchange_stats:evaluation_failures()),
             ?assert(rabbit_sql_exchange_stats:log_lines() - Lines =< 1)
     end}.

%% A message that cannot be read at all: no filter holds, bindings without one get it.
unreadable_message_test() ->
    Message = rabbit_sql_exchange_message:new(?EXCHANGE, not_a_message),
    Cache = rabbit_sql_exchange_cache:open(),
    ?assertNot(rabbit_sql_exchange_binding:matches(sql(<<"TRUE">>), Message, Cache)),
    ?assertNot(rabbit_sql_exchange_binding:matches(subject(<<"a">>), Message, Cache)),
    ?assert(rabbit_sql_exchange_binding:matches([], Message, Cache)).

sql(Text) -> [{<<"x-sql-filter">>, longstr, Text}].

subject(Text) -> [{<<"x-subject-filter">>, longstr, Text}].

matches(Args, Msg) ->
    rabbit_sql_exchange_binding:matches(Args, rabbit_sql_exchange_message:new(?EXCHANGE, Msg), rabbit_sql_exchange_cache:open()).

evaluated(Sql, Msg) ->
    {ok, Filter} = rabbit_sql_exchange_filter:parse(Sql),
    rabbit_sql_exchange_filter:eval(Filter, Msg).
