-module(rabbit_sql_exchange_subject_tests).

-include("../../check.hrl").

%% The first rows are those of RabbitMQ's own description of its topic exchange.
matches_test_() ->
    [{lists:flatten(io_lib:format("~ts / ~ts", [Pattern, Subject])), ?_assertEqual(Expected, matches(Pattern, Subject))}
     || {Pattern, Expectations} <-
            [{<<"*.orange.*">>, [{<<"quick.orange.rabbit">>, true}, {<<"orange">>, false}, {<<"quick.orange.new.rabbit">>, false}]},
             {<<"*.*.rabbit">>, [{<<"lazy.pink.rabbit">>, true}, {<<"rabbit">>, false}]},
             {<<"lazy.#">>, [{<<"lazy.orange.new.rabbit">>, true}, {<<"lazy">>, true}, {<<"lazyness">>, false}]},
             {<<"#">>, [{<<>>, true}, {<<"a">>, true}, {<<"a.b">>, true}, {binary:copy(<<"a.">>, 100_000), true}]},
             {<<"*">>, [{<<>>, false}, {<<"a">>, true}, {<<"a.b">>, false}, {<<".">>, false}]},
             {<<>>, [{<<>>, true}, {<<"a">>, false}]},
             {<<"a.b">>, [{<<"a.b">>, true}, {<<"a">>, false}, {<<"a.b.">>, false}, {<<"a.B">>, false}]},
             {<<"#.a">>, [{<<"a">>, true}, {<<"b.a">>, true}, {<<"a.b">>, false}, {<<"a.a">>, true}, {<<>>, false}]},
             {<<"a.#.b">>, [{<<"a.b">>, true}, {<<"a.b.b">>, true}, {<<"a.b.c">>, false}, {<<"a">>, false}]},
             {<<"#.*">>, [{<<>>, false}, {<<"a">>, true}, {<<"a.b">>, true}]},
             {<<"*.#.#">>, [{<<>>, false}, {<<"a">>, true}, {<<"a.b.c">>, true}]},
             {<<"a..b">>, [{<<"a..b">>, true}, {<<"a.b">>, false}]},
             {<<"a.*.b">>, [{<<"a..b">>, true}]},
             %% Wildcards are whole words.
             {<<"a*">>, [{<<"a*">>, true}, {<<"ab">>, false}]},
             {<<"a#.*">>, [{<<"a#.b">>, true}, {<<"a.b">>, false}]},
             {<<"größe.*"/utf8>>, [{<<"größe.ü"/utf8>>, true}]}],
        {Subject, Expected} <- Expectations].

%% What a pattern means, said in the plainest way.
as_defined_test_() ->
    {timeout, 60,
     fun() ->
             rand:seed(exsss, {1, 2, 3}),
             [begin
                  Pattern = random_text([<<"a">>, <<"b">>, <<"*">>, <<"#">>, <<>>], 6),
                  Subject = random_text([<<"a">>, <<"b">>, <<>>], 7),
                  ?assertEqual({Pattern, Subject, means(words(Pattern), words(Subject))},
                               {Pattern, Subject, matches(Pattern, Subject)})
              end || _ <- lists:seq(1, 50_000)]
     end}.

%% Trying every way to divide the subject among the `#' would take longer than the age of the universe.
bounded_time_test() ->
    Pattern = iolist_to_binary([lists:duplicate(8, <<"#.a.">>), <<"b">>]),
    Subject = iolist_to_binary(lists:join(<<".">>, lists:duplicate(2_000, <<"a">>))),
    {Time, false} = timer:tc(fun() -> matches(Pattern, Subject) end),
    ?assert(Time < 50_000),
    ?assert(matches(Pattern, <<Subject/binary, ".b">>)).

refusal_test_() ->
    [{Title, ?_assertEqual({error, Reason}, rabbit_sql_exchange_subject:parse(Text))}
     || {Title, Text, Reason} <-
            [{"too long", binary:copy(<<"a">>, 256), <<"it has 256 bytes, more than 255">>},
             {"too many #", binary:copy(<<"#.">>, 9), <<"it has 9 times #, more than 8">>},
             {"not UTF-8", <<255>>, <<"it is not UTF-8">>}]].

limits_test_() ->
    [?_assertMatch({ok, _}, rabbit_sql_exchange_subject:parse(Text))
     || Text <- [binary:copy(<<"a">>, 255), binary:copy(<<"#.">>, 8), binary:copy(<<"##.">>, 20)]].

too_long_subject_test() ->
    Long = binary:copy(<<"a.">>, 3_000),
    ?assertError(subject_too_long, matches(<<"a.*.#">>, Long)),
    ?assertNot(matches(<<"a">>, Long)),
    ?assert(matches(<<"#">>, Long)).

matches(Text, Subject) ->
    {ok, Pattern} = rabbit_sql_exchange_subject:parse(Text),
    rabbit_sql_exchange_subject:matches(Pattern, rabbit_sql_exchange_subject:words(Subject)).

means([], []) -> true;
means([<<"#">> | Pattern], []) -> means(Pattern, []);
means([<<"#">> | Pattern] = All, [_ | Rest] = Words) -> means(Pattern, Words) orelse means(All, Rest);
means([<<"*">> | Pattern], [_ | Words]) -> means(Pattern, Words);
means([Word | Pattern], [Word | Words]) -> means(Pattern, Words);
means(_, _) -> false.

words(<<>>) -> [];
words(Text) -> string:split(Text, <<".">>, all).

random_text(Alphabet, MaxWords) ->
    Words = [lists:nth(rand:uniform(length(Alphabet)), Alphabet) || _ <- lists:seq(1, rand:uniform(MaxWords + 1) - 1)],
    iolist_to_binary(lists:join(<<".">>, Words)).
