%% Tells the peers, by a second name in epmd, that this node is blank: until it has become a member, or has died.
%% And tells the next start the same, by a file that the entrypoint made and that is removed here.
-module(entente_blank).

-export([announce/1, is_marked/0]).

-include_lib("kernel/include/logger.hrl").

-define(INTERVAL, 100).

%% Returns when the name is there: a peer must not take this node for one with data after it has asked others.
-spec announce(IsMember :: fun(() -> boolean())) -> ok.
announce(IsMember) ->
    case whereis(?MODULE) of
        undefined -> start(IsMember);
        _ -> ok
    end.

%% Whether the entrypoint found no data, or none of a member.
-spec is_marked() -> boolean().
is_marked() ->
    case os:getenv("ENTENTE_BLANK_FILE") of
        false -> false;
        File -> filelib:is_file(File)
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
        true -> no_longer();
        false ->
            timer:sleep(?INTERVAL),
            until(IsMember)
    end.

%% Were the file to stay, the next start would take this node for one whose joining was interrupted, and empty it.
no_longer() ->
    case os:getenv("ENTENTE_BLANK_FILE") of
        false -> ok;
        File ->
            case file:delete(File) of
                ok -> ok;
                {error, enoent} -> ok;
                {error, Reason} ->
                    ?LOG_ERROR("~ts cannot be deleted (~ts): this node would be emptied at its next start, and is stopped",
                               [File, file:format_error(Reason)]),
                    init:stop(1)
            end
    end.
