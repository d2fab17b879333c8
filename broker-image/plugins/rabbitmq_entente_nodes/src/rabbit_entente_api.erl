%% Planned work over the HTTP API, for administrators only.
%%
%% GET  /api/entente/members      every quorum queue's members; by node, connections and queues that cannot leave it
%% POST /api/entente/members      {"changes": [{"vhost", "queue", "node", "change": "add" | "remove"}]}
%% POST /api/entente/leaders      {"moves": [{"vhost", "queue", "to"}]}
%% POST /api/entente/connections  {"node", "most"}: closes connections of clients
%% POST /api/entente/removal      {"node"}: has a node that has no member of any queue leave for good; to be asked again while "state" is "stopping"
-module(rabbit_entente_api).

-behaviour(rabbit_mgmt_extension).

-export([dispatcher/0, web_ui/0]).
-export([init/2, allowed_methods/2, is_authorized/2, content_types_provided/2, content_types_accepted/2, resource_exists/2,
         to_json/2, accept_content/2]).

-include_lib("rabbitmq_web_dispatch/include/rabbitmq_web_dispatch_records.hrl").

-define(MOST, 1_000).
-define(TIMEOUT, 5_000).

dispatcher() -> [{"/entente/" ++ atom_to_list(What), ?MODULE, [What]} || What <- [members, leaders, connections, removal]].

web_ui() -> [].

init(Request, [What]) -> {cowboy_rest, rabbit_mgmt_headers:set_common_permission_headers(Request, ?MODULE), {What, #context{}}}.

allowed_methods(Request, {members, _} = State) -> {[<<"GET">>, <<"HEAD">>, <<"POST">>, <<"OPTIONS">>], Request, State};
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
            Bound = #{Node => #{count => Count, example => label(Name)} || Node := {Count, Name} <- rabbit_entente_queues:bound()},
            {rabbit_json:encode(#{queues => [queue(Queue) || Queue <- Queues], connections => Connections, bound => Bound}), Request, State};
        not_served ->
            Body = rabbit_json:encode(#{error => not_served, reason => <<"a node without this plugin runs">>}),
            {stop, cowboy_req:reply(501, #{<<"content-type">> => <<"application/json">>}, Body, Request), State}
    end.

queue(#{name := {resource, VirtualHost, queue, Name}, leader := Leader, members := Members}) ->
    #{vhost => VirtualHost, name => Name, leader => case Leader of undefined -> null; _ -> Leader end,
      members => [#{node => Node, runs => Runs, votes => Votes, written => Written, committed => Committed}
                  || {Node, #{runs := Runs, votes := Votes, written := Written, committed := Committed}} <- Members]}.

label({resource, VirtualHost, queue, Name}) -> <<VirtualHost/binary, "/", Name/binary>>.

accept_content(Request, {leaders, _} = State) ->
    each(<<"moves">>, fun move/1, fun rabbit_entente_leaders:move/1, <<"moves must be a list of {vhost, queue, to}, and to a node that runs">>,
         Request, State);
accept_content(Request, {members, _} = State) ->
    each(<<"changes">>, fun change/1, fun rabbit_entente_members:change/1,
         <<"changes must be a list of {vhost, queue, node, change}, change add or remove, and node a member of the cluster">>, Request, State);
accept_content(Request, {removal, Context} = State) ->
    rabbit_mgmt_util:with_decode(
      [node], Request, Context,
      fun([Name], _, Request1) ->
              case member_of(Name) of
                  {ok, Node} ->
                      case rabbit_entente_departure:remove(Node) of
                          {kept, Why} -> rabbit_mgmt_util:bad_request(unicode:characters_to_binary(Why), Request1, Context);
                          Outcome -> answer(#{state => Outcome}, Request1, State)
                      end;
                  error ->
                      rabbit_mgmt_util:bad_request(<<"node must be a member of the cluster">>, Request1, Context)
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

%% Does the same to each of many queues; tells how many, and which not.
each(Field, Read, Do, Otherwise, Request, {_, Context} = State) ->
    rabbit_mgmt_util:with_decode(
      [], Request, Context,
      fun([], Body, Request1) ->
              case read(maps:get(Field, Body, none), Read) of
                  {ok, All} ->
                      Failed = Do(All),
                      answer(#{moved => length(All) - length(Failed), failed => [failure(Failure) || Failure <- Failed]}, Request1, State);
                  error ->
                      rabbit_mgmt_util:bad_request(Otherwise, Request1, Context)
              end
      end).

read(Items, Read) when is_list(Items), length(Items) =< ?MOST ->
    Answers = [Read(Item) || Item <- Items],
    case lists:member(error, Answers) of
        true -> error;
        false -> {ok, [Item || {ok, Item} <- Answers]}
    end;
read(_, _) -> error.

move(#{<<"vhost">> := VirtualHost, <<"queue">> := Queue, <<"to">> := To}) when is_binary(VirtualHost), is_binary(Queue) ->
    maybe
        {ok, Node} ?= node_of(To),
        {ok, {rabbit_misc:r(VirtualHost, queue, Queue), Node}}
    end;
move(_) -> error.

change(#{<<"vhost">> := VirtualHost, <<"queue">> := Queue, <<"node">> := Name, <<"change">> := Change})
  when is_binary(VirtualHost), is_binary(Queue), Change =:= <<"add">> orelse Change =:= <<"remove">> ->
    maybe
        %% One that does not run loses its members all the same.
        {ok, Node} ?= member_of(Name),
        {ok, {case Change of <<"add">> -> add; <<"remove">> -> remove end, rabbit_misc:r(VirtualHost, queue, Queue), Node}}
    end;
change(_) -> error.

%% Looked up, not made: no name that comes from outside becomes an atom.
node_of(Name) -> find(Name, rabbit_nodes:list_running()).

member_of(Name) -> find(Name, rabbit_nodes:list_members()).

find(Name, Nodes) ->
    case [Node || Node <- Nodes, atom_to_binary(Node) =:= Name] of
        [Node] -> {ok, Node};
        [] -> error
    end.

failure({{resource, VirtualHost, queue, Queue}, Reason}) ->
    #{vhost => VirtualHost, queue => Queue, reason => unicode:characters_to_binary(io_lib:format("~0tp", [Reason]))}.
