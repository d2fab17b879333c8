%% Tells the peers, by a second name in epmd, that this node is blank: until it has become a member, or has died.
%% And tells the next start the same, by a file that the entrypoint made and that is removed here.
-module(entente_blank).

-export([announce/1, is_marked/0, mark/0]).

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
is_marked() -> with_file(fun filelib:is_file/1, false).

%% So that the next start empties this node.
-spec mark() -> ok | {error, file:posix()}.
mark() -> with_file(fun(File) -> file:write_file(File, <<>>) end, ok).

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
    case with_file(fun file:delete/1, ok) of
        ok -> ok;
        {error, enoent} -> ok;
        {error, Reason} ->
            ?LOG_ERROR("the file that tells that this node is blank cannot be deleted (~ts): it would be emptied at its next start, and is stopped",
                       [file:format_error(Reason)]),
            init:stop(1)
    end.

%% The entrypoint names the file, where there are others.
with_file(Do, Without) ->
    case os:getenv("ENTENTE_BLANK_FILE") of
        false -> Without;
        File -> Do(File)
    end.
