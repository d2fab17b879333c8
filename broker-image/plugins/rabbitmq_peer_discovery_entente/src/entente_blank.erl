%% Tells the peers, by a second name in epmd, that this node is blank: until it has become a member, or has died.
-module(entente_blank).

-export([announce/1]).

-define(INTERVAL, 100).

%% Returns when the name is there: a peer must not take this node for one with data after it has asked others.
-spec announce(IsMember :: fun(() -> boolean())) -> ok.
announce(IsMember) ->
    case whereis(?MODULE) of
        undefined -> start(IsMember);
        _ -> ok
    end.

start(IsMember) ->
    Caller = self(),
    {Pid, Monitor} = spawn_monitor(fun() -> hold(Caller, IsMember) end),
    receive
        {Pid, announced} ->
            demonitor(Monitor, [flush]),
            ok;
        {'DOWN', Monitor, process, Pid, _} ->
            %% Peers then wait for this node or try in vain to join it. The next attempt announces it again.
            ok
    end.

hold(Caller, IsMember) ->
    true = register(?MODULE, self()),
    case entente_epmd:register_name(entente_epmd:blank_name(), 1) of
        ok ->
            Caller ! {self(), announced},
            until(IsMember);
        {error, Reason} ->
            exit(Reason)
    end.

%% The name goes with this process, since its connection to epmd does.
until(IsMember) ->
    case IsMember() of
        true -> ok;
        false ->
            timer:sleep(?INTERVAL),
            until(IsMember)
    end.
