-module(entente_blank_tests).

-include("../../check.hrl").

%% Against a stand-in for epmd.
announced_until_member_test() ->
    {ok, Listen} = gen_tcp:listen(0, [binary, {active, false}, {packet, 2}, {ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listen),
    File = filename:join(os:getenv("HOME", "/tmp"), "entente-blank-test"),
    ok = file:write_file(File, <<>>),
    os:putenv("ERL_EPMD_PORT", integer_to_list(Port)),
    os:putenv("ENTENTE_BLANK_FILE", File),
    Member = counters:new(1, []),
    Epmd = self(),
    spawn(fun() ->
                  {ok, Socket} = gen_tcp:accept(Listen),
                  {ok, Request} = gen_tcp:recv(Socket, 0),
                  ok = inet:setopts(Socket, [{packet, raw}]),
                  ok = gen_tcp:send(Socket, <<118, 0, 1:32>>),
                  Epmd ! {request, Request},
                  {error, closed} = gen_tcp:recv(Socket, 0),
                  Epmd ! closed
          end),
    ok = entente_blank:announce(fun() -> counters:get(Member, 1) =:= 1 end),
    receive {request, <<120, _:16, 72, 0, 6:16, 5:16, 13:16, "entente-blank", 0:16>>} -> ok end,
    ?assert(entente_blank:is_marked()),
    ok = entente_blank:announce(fun() -> error(not_started_twice) end),
    receive closed -> error(too_early) after 300 -> ok end,
    counters:put(Member, 1, 1),
    receive closed -> ok after 2_000 -> error(still_announced) end,
    ?assertNot(entente_blank:is_marked()),
    os:unsetenv("ERL_EPMD_PORT"),
    os:unsetenv("ENTENTE_BLANK_FILE").

without_epmd_test() ->
    os:putenv("ERL_EPMD_PORT", "1"),
    ?assertEqual(ok, entente_blank:announce(fun() -> true end)),
    os:unsetenv("ERL_EPMD_PORT").
