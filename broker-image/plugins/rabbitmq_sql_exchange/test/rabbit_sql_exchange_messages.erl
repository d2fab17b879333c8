%% Message containers as the broker makes them of what arrives by each protocol.
-module(rabbit_sql_exchange_messages).

-include_lib("amqp10_common/include/amqp10_framing.hrl").
-include_lib("rabbit_common/include/rabbit.hrl").
-include_lib("rabbit_common/include/rabbit_framing.hrl").
-include_lib("rabbitmq_mqtt/include/rabbit_mqtt_packet.hrl").

-export([amqp/1, amqp/2, amqp_sections/1, amqp_payload/1, amqpl/2, mqtt/1, stored/1]).

amqp(ApplicationProperties) -> amqp(#{}, ApplicationProperties).

amqp(Properties, ApplicationProperties) ->
    amqp_sections([#'v1_0.header'{priority = tagged(ubyte, priority, Properties)},
                   #'v1_0.properties'{subject = maps:get(subject, Properties, undefined),
                                      message_id = maps:get(message_id, Properties, undefined),
                                      creation_time = tagged(timestamp, creation_time, Properties)},
                   #'v1_0.application_properties'{
                      content = [{{utf8, Name}, Value} || {Name, Value} <- ApplicationProperties]}]).

%% With a body, which no message may lack.
amqp_sections(Sections) ->
    amqp_payload([amqp10_framing:encode_bin(Section) || Section <- Sections ++ [#'v1_0.data'{content = <<"body">>}]]).

amqp_payload(Payload) -> mc:init(mc_amqp, iolist_to_binary(Payload), annotations()).

amqpl(Basic, Headers) ->
    Content = #content{class_id = 60, properties = Basic#'P_basic'{headers = Headers},
                       properties_bin = none, payload_fragments_rev = [<<"body">>]},
    mc:init(mc_amqpl, Content, annotations()).

mqtt(UserProperties) ->
    mc:init(mc_mqtt, #mqtt_msg{qos = 1, topic = <<"t">>, payload = <<"body">>,
                               props = #{'User-Property' => UserProperties}}, annotations()).

%% As it comes out of a queue, which is how dead letters are routed.
stored(Msg) -> mc:prepare(read, mc:prepare(store, Msg)).

tagged(Type, Key, Properties) ->
    case Properties of
        #{Key := Value} -> {Type, Value};
        _ -> undefined
    end.

annotations() -> #{x => <<"exchange">>, rk => [<<"key">>]}.
