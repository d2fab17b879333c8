%% A message as the filters of all bindings see it, read once however many bindings there are.
%%
%% RabbitMQ's evaluator asks a message container for the application properties, and the container builds a map of
%% them for each question. So it gets a container of its own protocol, this module, which has the map ready and hands
%% every other question on to the message.
-module(rabbit_sql_exchange_message).

-include_lib("rabbit/include/mc.hrl").

-export([new/2, exchange/1, container/1, subject/1]).
%% The part of the behaviour `mc' that filters need.
-export([init/1, routing_headers/2, property/2]).
-export_type([message/0]).

-record(message, {exchange :: rabbit_exchange:name(),
                  %% What a filter fails with when the message cannot be read.
                  read :: {ok, mc:state(), rabbit_sql_exchange_subject:subject()} | {error, Reason :: term()}}).
-opaque message() :: #message{}.

%% Never fails.
-spec new(rabbit_exchange:name(), mc:state()) -> message().
new(Exchange, Msg) ->
    Read = try
               {ok, container_of(Msg), rabbit_sql_exchange_subject:words(subject_of(Msg))}
           catch
               _:Reason -> {error, Reason}
           end,
    #message{exchange = Exchange, read = Read}.

-spec exchange(message()) -> rabbit_exchange:name().
exchange(#message{exchange = Exchange}) -> Exchange.

-spec container(message()) -> mc:state().
container(#message{read = {ok, Container, _Subject}}) -> Container;
container(#message{read = {error, Reason}}) -> error(Reason).

-spec subject(message()) -> rabbit_sql_exchange_subject:subject().
subject(#message{read = {ok, _Container, Subject}}) -> Subject;
subject(#message{read = {error, Reason}}) -> error(Reason).

%% No subject is the empty one. Only AMQP 1.0 has one: of AMQP 0-9-1, MQTT and STOMP the container knows none.
subject_of(Msg) ->
    case mc:property(subject, Msg) of
        {_Type, Subject} when is_binary(Subject) -> Subject;
        _ -> <<>>
    end.

%% Header fields are no properties: the evaluator reads them where the container keeps its annotations.
container_of(Msg) ->
    mc:init(?MODULE, {mc:routing_headers(Msg, []), Msg},
            %% The last is not read. Without it, the clock would be for each message.
            #{?ANN_PRIORITY => mc:priority(Msg), ?ANN_TIMESTAMP => mc:timestamp(Msg), ?ANN_RECEIVED_AT_TIMESTAMP => 0}).

init(Data) -> {Data, #{}}.

routing_headers({Headers, _Msg}, _Options) -> Headers.

property(Name, {_Headers, Msg}) -> mc:property(Name, Msg).
