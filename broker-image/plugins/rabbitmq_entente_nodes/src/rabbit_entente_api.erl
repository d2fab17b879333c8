%% Planned work over the HTTP API, for administrators only.
%%
%% GET  /api/entente/members      every quorum queue's members, and connections by node
%% POST /api/entente/leaders      {"moves": [{"vhost", "queue", "to"}]}
%% POST /api/entente/connections  {"node", "most"}: closes connections of clients
-module(rabbit_entente_api).

-behaviour(rabbit_mgmt_extension).

-export([dispatcher/0, web_ui/0]).
-export([init/2, allowed_methods/2, is_authorized/2, content_types_provided/2, content_types_accepted/2, resource_exists/2,
         to_json/2, accept_content/2]).

-include_lib("rabbitmq_web_dispatch/include/rabbitmq_web_dispatch_records.hrl").

-define(MOST_MOVES, 1_000).
-define(TIMEOUT, 5_000).

dispatcher() -> [{"/entente/" ++ atom_to_list(What), ?MODULE, [What]} || What <- [members, leaders, connections]].

web_ui() -> [].

init(Request, [What]) -> {cowboy_rest, rabbit_mgmt_headers:set_common_permission_headers(Request, ?MODULE), {What, #context{}}}.

allowed_methods(Request, {members, _} = State) -> {[<<"GET">>, <<"HEAD">>, <<"OPTIONS">>], Request, State};
allowed_methods(Request, State) -> {[<<"POST">>, <<"OPTIONS">>], Request, State}.

is_authorized(Request0, {What, Context0}) ->
    {Answer, Request, Context} = rabbit_mgmt_util:is_authorized_admin(Request0, Context0),
    {Answer, Request, {What, Context}}.

content_types_provided(Request, State) -> {[{<<"application/json">>, to_json}], Request, State}.

content_types_accepted(Request, State) -> {[{'*', accept_content}], Request, State}.

resource_exists(Request, State) -> {true, Request, State}.

to_json(Request, {members, _} = State) ->
    case rabbit_entente_members:all() of
        {ok, Queues, Connections} ->
            {rabbit_json:encode(#{queues => [queue(Queue) || Queue <- Queues], connections => Connections}), Request, State};
        not_served ->
            Body = rabbit_json:encode(#{error => not_served, reason => <<"a node without this plugin runs">>}),
            {stop, cowboy_req:reply(501, #{<<"content-type">> => <<"application/json">>}, Body, Request), State}
    end.

queue(#{name := {resource, VirtualHost, queue, Name}, leader := Leader, members := Members}) ->
    #{vhost => VirtualHost, name => Name, leader => case Leader of undefined -> null; _ -> Leader end,
      members => [#{node => Node, runs => Runs, votes => Votes, written => Written, committed => Committed}
                  || {Node, #{runs := Runs, votes := Votes, written := Written, committed := Committed}} <- Members]}.

accept_content(Request, {leaders, Context} = State) ->
    rabbit_mgmt_util:with_decode(
      [], Request, Context,
      fun([], Body, Request1) ->
              case moves(maps:get(<<"moves">>, Body, maps:get(moves, Body, none))) of
                  {ok, Moves} ->
                      Failed = rabbit_entente_leaders:move(Moves),
                      answer(#{moved => length(Moves) - length(Failed), failed => [failure(Failure) || Failure <- Failed]},
                             Request1, State);
                  error ->
                      rabbit_mgmt_util:bad_request(<<"moves must be a list of {vhost, queue, to}, and to a node that runs">>,
                                                   Request1, Context)
              end
      end);
accept_content(Request, {connections, Context} = State) ->
    rabbit_mgmt_util:with_decode(
      [node, most], Request, Context,
      fun([Name, Most], _, Request1) ->
              case {node_of(Name), Most} of
                  {{ok, Node}, Most} when is_integer(Most), Most >= 0 ->
                      Closed = erpc:call(Node, rabbit_entente_connections, close, [Most], ?TIMEOUT),
                      answer(#{closed => Closed}, Request1, State);
                  _ ->
                      rabbit_mgmt_util:bad_request(<<"node must be one that runs, and most a number">>, Request1, Context)
              end
      end).

answer(Answer, Request, State) -> {true, cowboy_req:set_resp_body(rabbit_json:encode(Answer), Request), State}.

moves(Moves) when is_list(Moves), length(Moves) =< ?MOST_MOVES -> moves(Moves, []);
moves(_) -> error.

moves([], Done) -> {ok, lists:reverse(Done)};
moves([#{<<"vhost">> := VirtualHost, <<"queue">> := Queue, <<"to">> := To} | Moves], Done)
  when is_binary(VirtualHost), is_binary(Queue) ->
    case node_of(To) of
        {ok, Node} -> moves(Moves, [{rabbit_misc:r(VirtualHost, queue, Queue), Node} | Done]);
        error -> error
    end;
moves(_, _) -> error.

%% Looked up, not made: no name that comes from outside becomes an atom.
node_of(Name) ->
    case [Node || Node <- rabbit_nodes:list_running(), atom_to_binary(Node) =:= Name] of
        [Node] -> {ok, Node};
        [] -> error
    end.

failure({{resource, VirtualHost, queue, Queue}, Reason}) ->
    #{vhost => VirtualHost, queue => Queue, reason => unicode:characters_to_binary(io_lib:format("~0tp", [Reason]))}.
