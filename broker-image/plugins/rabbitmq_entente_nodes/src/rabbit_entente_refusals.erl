%% Counts what was refused to whom, and tells it as events `permission.refused', at most one a second for each user and thing: a client
%% that tries again and again makes a number larger and not a flood.
%%
%% What is counted and not told yet is lost with the node.
-module(rabbit_entente_refusals).
-behaviour(gen_server).

-export([start_link/0, note/1, drain/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(TABLE, ?MODULE).
-define(EVERY, 1_000).
%% Of more users and things in one second, those beyond it are not told: the names of things come from clients.
-define(MOST, 10_000).

-type refused() :: {User :: binary(), VirtualHost :: binary(), Kind :: atom(), Name :: binary(), Permission :: atom()}.
-export_type([refused/0]).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% Called by whoever was refused something, between its question and its answer: it neither waits nor fails.
-spec note(refused()) -> ok.
note(Refused) ->
    try ets:update_counter(?TABLE, Refused, {2, 1}) of
        _ -> ok
    catch
        %% The first of its kind; or there is no table, as the plugin starts or stops.
        error:badarg -> first(Refused)
    end.

first(Refused) ->
    case ets:info(?TABLE, size) of
        Size when is_integer(Size), Size < ?MOST ->
            try
                _ = ets:update_counter(?TABLE, Refused, {2, 1}, {Refused, 0}),
                ok
            catch error:badarg -> ok
            end;
        _ -> ok
    end.

init([]) ->
    ?TABLE = ets:new(?TABLE, [named_table, public, {write_concurrency, true}]),
    tick(),
    {ok, undefined}.

handle_call(_Request, _From, State) -> {reply, {error, unknown}, State}.

handle_cast(_Request, State) -> {noreply, State}.

handle_info(tick, State) ->
    drain(fun tell/2),
    tick(),
    {noreply, State};
handle_info(_Message, State) -> {noreply, State}.

tick() -> erlang:send_after(?EVERY, self(), tick).

%% Tells of each and forgets it.
-spec drain(fun((refused(), pos_integer()) -> term())) -> ok.
drain(Tell) ->
    %% What is counted between the list and its removal is in the number that is removed.
    [[Tell(Refused, Count) || {_, Count} <- ets:take(?TABLE, Refused)] || {Refused, _} <- ets:tab2list(?TABLE)],
    ok.

tell({User, VirtualHost, Kind, Name, Permission}, Count) ->
    rabbit_event:notify(permission_refused,
                        [{name, Name}, {kind, atom_to_binary(Kind)}, {permission, atom_to_binary(Permission)},
                         {vhost, VirtualHost}, {user, User}, {count, Count}]).
