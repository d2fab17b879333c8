%% A node that leaves the cluster for good.
%%
%% Expected flow: it has no member of any queue any more. RabbitMQ stops in it, and its Erlang machine stays; another member has the cluster
%% forget it while it can still be asked, since the metadata of two nodes has no majority without one of them; then it is marked as blank, so that
%% whatever starts it again joins anew with an empty disk; and its pod goes. Where this stops half way, or is not wanted any more, the node comes
%% back by itself, as the member that it is or as a new one.
-module(rabbit_entente_departure).

-export([remove/1, stop/0, mark/0]).

-define(TIMEOUT, 8_000).
%% Milliseconds. To be forgotten and to lose the pod takes a few seconds.
-define(STOPPED, 60_000).

%% To be asked again until the node is gone.
-spec remove(node()) -> gone | stopping | {kept, string()}.
remove(Node) when Node =:= node() ->
    case rabbit_nodes:list_running() -- [Node] of
        [] -> {kept, "there is no other node"};
        [Other | _] -> erpc:call(Other, ?MODULE, remove, [Node], ?TIMEOUT)
    end;
remove(Node) ->
    case {lists:member(Node, rabbit_nodes:list_members()), needed(Node)} of
        {false, _} -> gone;
        {true, []} -> leave(Node);
        {true, [Name | _]} -> {kept, lists:flatten(rabbit_misc:rs(Name) ++ " is on it")}
    end.

leave(Node) ->
    case state(Node) of
        running ->
            ok = erpc:call(Node, ?MODULE, stop, [], ?TIMEOUT),
            stopping;
        stopping ->
            stopping;
        stopped ->
            case rabbit_db_cluster:forget_member(Node, false) of
                ok ->
                    _ = try erpc:call(Node, ?MODULE, mark, [], ?TIMEOUT) catch error:{erpc, _} -> ok end,
                    gone;
                {error, Reason} -> {kept, lists:flatten(io_lib:format("it cannot be forgotten: ~0tp", [Reason]))}
            end
    end.

needed(Node) ->
    {ok, Queues, _} = rabbit_entente_members:all(),
    Quorum = [Name || #{name := Name, members := Members} = Queue <- Queues, lists:keymember(Node, 1, Members), rabbit_entente_members:lives(Queue)],
    case rabbit_entente_queues:bound() of
        #{Node := {_, Name}} -> [Name | Quorum];
        _ -> Quorum
    end.

state(Node) ->
    case lists:member(Node, rabbit_nodes:list_running()) of
        true ->
            running;
        false ->
            %% Of one that cannot be asked, nothing is in the way.
            try erpc:call(Node, application, get_env, [rabbitmq_entente_nodes, departure], ?TIMEOUT) of
                {ok, stopping} -> stopping;
                _ -> stopped
            catch
                error:{erpc, _} -> stopped
            end
    end.

%% On the node itself. It goes on after the answer, which passes through what is stopped.
-spec stop() -> ok.
stop() ->
    _ = whereis(?MODULE) =:= undefined andalso spawn(fun run/0),
    ok.

run() ->
    true = register(?MODULE, self()),
    %% Otherwise it would end with the application that it stops.
    true = group_leader(whereis(init), self()),
    note(stopping),
    timer:sleep(200),
    rabbit:stop(),
    note(stopped),
    timer:sleep(application:get_env(rabbitmq_entente_nodes, stopped_for, ?STOPPED)),
    case entente_blank:is_marked() of
        true -> init:stop();
        false -> rabbit:start()
    end.

%% Kept by the application controller, which does not stop.
note(State) -> application:set_env(rabbitmq_entente_nodes, departure, State).

%% On the node itself, once it is forgotten.
-spec mark() -> ok | {error, file:posix()}.
mark() -> entente_blank:mark().
