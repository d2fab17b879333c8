%% Parsing and evaluation of one filter, around RabbitMQ's own SQL filter evaluator (that of its streams).
-module(rabbit_sql_exchange_filter).

-export([parse/1, eval/2]).
-export_type([filter/0]).

-opaque filter() :: rabbit_amqp_filter_sql:parsed_expression().

%% The limits of rabbit_amqp_filter_sql, which names them only in its log.
-define(MAX_CHARACTERS, 4096).
-define(MAX_TOKENS, 200).

-spec parse(binary()) -> {ok, filter()} | {error, Reason :: binary()}.
parse(Sql) ->
    try rabbit_amqp_filter_sql:parse({described, {symbol, <<"amqp:sql-filter">>}, {utf8, Sql}}) of
        {ok, Filter} -> {ok, Filter};
        error -> {error, explain(Sql)}
    catch
        %% The parser is an internal of RabbitMQ: a crash in it must be a refused binding, not a closed connection.
        _:_ -> {error, explain(Sql)}
    end.

%% True or not; what SQL calls unknown is not. Fails where the filter cannot be evaluated for the message.
-spec eval(filter(), mc:state()) -> boolean().
eval(Filter, Container) -> rabbit_amqp_filter_sql:eval(Filter, Container).

%% rabbit_amqp_filter_sql:parse/1 says only `error' and logs why on the broker, where the author of the filter does
%% not look. The same steps once more, for the reason.
-spec explain(binary()) -> binary().
explain(Sql) ->
    Reason = try reason(Sql) catch _:_ -> "it cannot be parsed" end,
    ascii(unicode:characters_to_list(Reason)).

%% The HTTP API fails with a 500 on a reason that is not ASCII, and the author of the filter would not see it.
ascii(Text) when is_list(Text) ->
    iolist_to_binary([if C >= 32, C < 127 -> C; true -> io_lib:format("\\x{~.16B}", [C]) end || C <- Text]);
ascii(_) ->
    <<"it cannot be parsed">>.

reason(Sql) ->
    case unicode:characters_to_list(Sql) of
        String when is_list(String), length(String) > ?MAX_CHARACTERS ->
            io_lib:format("it has ~b characters, more than ~b", [length(String), ?MAX_CHARACTERS]);
        String when is_list(String) ->
            tokens_reason(rabbit_amqp_sql_lexer:string(String));
        _ ->
            "it is not UTF-8"
    end.

tokens_reason({ok, [], _End}) ->
    "it is empty";
tokens_reason({ok, Tokens, _End}) when length(Tokens) > ?MAX_TOKENS ->
    io_lib:format("it has ~b tokens, more than ~b", [length(Tokens), ?MAX_TOKENS]);
tokens_reason({ok, Tokens, _End}) ->
    case rabbit_amqp_sql_parser:parse(Tokens) of
        {error, {_Line, Module, Descriptor}} -> syntax_reason(Module:format_error(Descriptor));
        {ok, _Ast} -> "a LIKE pattern in it is invalid"
    end;
%% What RabbitMQ's own rules of the lexer say. leex would hand the term on as if it were text.
tokens_reason({error, {_Line, _Module, {user, {What, Where}}}, _End}) ->
    io_lib:format("~ts ~ts", [string:replace(atom_to_list(What), "_", " ", all), printable(Where)]);
tokens_reason({error, {_Line, Module, Descriptor}, _End}) ->
    Module:format_error(Descriptor).

printable(Text) when is_binary(Text) -> io_lib:format("~tp", [unicode:characters_to_list(Text)]);
printable(Text) -> io_lib:format("~tp", [Text]).

%% What the parser says where the text ends too early.
syntax_reason(Message) ->
    case lists:flatten(Message) of
        "syntax error before: " -> "it ends too early";
        Other -> Other
    end.
