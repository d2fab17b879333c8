%% Keeps the time after which a silent node is gone (`net_ticktime' of kernel) as it is configured.
%%
%% RabbitMQ starts with what is configured, and loses it: `rabbit_misc:rpc_call/5' takes over whatever the node that it calls has. After a rolling
%% restart with another value every node would have the old one again, from those that were restarted later. Where nothing is
%% configured nothing is done.
-module(rabbit_entente_ticktime).
-behaviour(gen_server).

-export([start_link/0, due/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(EVERY, 2_000).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

init([]) ->
    self() ! look,
    {ok, undefined}.

handle_call(_Request, _From, State) -> {reply, {error, unknown}, State}.

handle_cast(_Request, State) -> {noreply, State}.

handle_info(look, State) ->
    case due(application:get_env(kernel, net_ticktime), net_kernel:get_net_ticktime()) of
        none -> ok;
        %% Without a transition: nodes say something every second, whatever they would do at rest.
        Seconds -> net_kernel:set_net_ticktime(Seconds, 0)
    end,
    erlang:send_after(?EVERY, self(), look),
    {noreply, State};
handle_info(_Message, State) -> {noreply, State}.

%% What has to be set, in seconds.
-spec due(Configured :: undefined | {ok, term()}, Current :: pos_integer() | {ongoing_change_to, pos_integer()} | ignored) ->
          pos_integer() | none.
due(_, ignored) -> none;
due({ok, Seconds}, Seconds) -> none;
due({ok, Seconds}, {ongoing_change_to, Seconds}) -> none;
due({ok, Seconds}, _) when is_integer(Seconds), Seconds > 0 -> Seconds;
due(_, _) -> none.
