-module(rabbit_entente_members_tests).

-include("../../check.hrl").

-define(NAME, {resource, <<"shop">>, queue, <<"q">>}).

%% Written entries of members on a, b and c, the first of which leads; `down' does not run.
queue(Written) ->
    Told = #{Node => #{members => #{q => member(Node =:= a, W)}} || {Node, W} <- lists:zip([a, b, c], Written), W =/= down},
    rabbit_entente_members:table({?NAME, q, [c, b, a]}, Told).

member(Leads, Written) ->
    #{runs => true, votes => true, leads => Leads, term => 1, written => Written, committed => case Leads of true -> Written; false -> 0 end}.

table_test_() ->
    [?_assertMatch(#{leader := a, members := [{a, _}, {b, _}, {c, #{votes := false}}]}, queue([9, 8, down])),
     ?_assertMatch(#{leader := undefined}, queue([down, 8, 8])),
     {"the newer of two leaders leads",
      ?_assertMatch(#{leader := b},
                    rabbit_entente_members:table(
                      {?NAME, q, [a, b]},
                      #{a => #{members => #{q => member(true, 1)}}, b => #{members => #{q => (member(true, 1))#{term := 2}}}}))}].

%% Seen: a queue at rest one of whose members had got its state by a snapshot was behind for ever.
what_a_snapshot_holds_is_written_test() ->
    Metrics = #{state => follower, membership => voter, term => 4, last_written_index => 14473, snapshot_index => 14477,
                commit_index => 14477},
    ?assertMatch(#{written := 14477, committed := 14477, votes := true}, rabbit_entente_members:metrics(Metrics)),
    ?assertMatch(#{written := 14473}, rabbit_entente_members:metrics(Metrics#{snapshot_index => 12870})),
    ?assertMatch(#{written := 7}, rabbit_entente_members:metrics(#{state => leader, last_written_index => 7})).

in_sync_test_() ->
    Goals = rabbit_entente_members:goals([queue([9, 8, 8])]),
    [?_assertEqual(#{?NAME => 9}, Goals),
     ?_assertEqual([a, c], rabbit_entente_members:in_sync(queue([20, 8, 9]), Goals)),
     ?_assertEqual([], rabbit_entente_members:in_sync(queue([down, 9, 9]), Goals))].

critical_test_() ->
    Goals = #{?NAME => 9},
    Critical = fun(Written, Node) -> length(rabbit_entente_members:critical([queue(Written)], Goals, Node)) end,
    [?_assertEqual(0, Critical([9, 9, 9], a)),
     ?_assertEqual(1, Critical([9, 9, 8], a)),
     ?_assertEqual(0, Critical([9, 9, 8], c)),
     ?_assertEqual(1, Critical([9, 9, down], b)),
     {"nothing is left of it", ?_assertEqual(0, Critical([down, down, down], a))},
     {"it has no member there", ?_assertEqual(0, Critical([9, 9, down], d))}].

away_test_() ->
    Goals = #{},
    Led = fun(Name, Leader) -> (queue([9, 9, 9]))#{name := Name, leader := Leader} end,
    [?_assertEqual([{q1, c}, {q2, b}], rabbit_entente_leaders:away([Led(q1, a), Led(q2, a), Led(q3, b)], Goals, a)),
     {"nobody to go to", ?_assertEqual([], rabbit_entente_leaders:away([queue([9, down, down])], Goals, a))}].
