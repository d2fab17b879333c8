%% What the arguments of one binding say, and whether a message satisfies it.
-module(rabbit_sql_exchange_binding).

-export([compile/1, matches/3]).
-export_type([compiled/0]).

-define(SQL, <<"x-sql-filter">>).
-define(SUBJECT, <<"x-subject-filter">>).
%% RabbitMQ's exchange federation adds this one to the bindings that it makes.
-define(FEDERATION, <<"x-bound-from">>).

-type compiled() :: {Subject :: any | rabbit_sql_exchange_subject:pattern(), Sql :: any | rabbit_sql_exchange_filter:filter()}
                  | {error, Reason :: binary()}.

%% The reason names the argument: its author sees nothing else.
-spec compile(rabbit_framing:amqp_table()) -> compiled().
compile(Args) ->
    maybe
        ok ?= known(Args),
        {ok, Subject} ?= argument(?SUBJECT, "subject filter", fun rabbit_sql_exchange_subject:parse/1, Args),
        {ok, Sql} ?= argument(?SQL, "SQL filter", fun rabbit_sql_exchange_filter:parse/1, Args),
        {Subject, Sql}
    end.

%% Never fails. Both filters have to hold; one that cannot be evaluated (say, arithmetic that overflows) does not.
-spec matches(rabbit_framing:amqp_table(), rabbit_sql_exchange_message:message(), rabbit_sql_exchange_cache:cache()) -> boolean().
matches([], _Message, _Cache) -> true;
matches(Args, Message, Cache) ->
    try
        holds(rabbit_sql_exchange_cache:lookup(Cache, Args), Message)
    catch
        Class:Reason ->
            rabbit_sql_exchange_stats:evaluation_failed(rabbit_sql_exchange_message:exchange(Message), Args, Class, Reason),
            false
    end.

%% Refused when it is bound. It can only be here when it was bound while this exchange's type was not loaded; to send
%% such a subscriber everything would be worse than to send it nothing.
holds({error, _Reason}, _Message) -> error(invalid_filter);
holds({Subject, Sql}, Message) -> subject_holds(Subject, Message) andalso sql_holds(Sql, Message).

subject_holds(any, _Message) -> true;
subject_holds(Pattern, Message) ->
    rabbit_sql_exchange_subject:matches(Pattern, rabbit_sql_exchange_message:subject(Message)).

sql_holds(any, _Message) -> true;
sql_holds(Filter, Message) -> rabbit_sql_exchange_filter:eval(Filter, rabbit_sql_exchange_message:container(Message)).

%% A misspelt filter must not become a binding that takes everything.
known(Args) ->
    case [Name || {<<"x-", _/binary>> = Name, _, _} <- Args, not lists:member(Name, [?SQL, ?SUBJECT, ?FEDERATION])] of
        [] -> ok;
        [Name | _] -> refuse("~tp is not an argument of this exchange's bindings: it has ~ts and ~ts", [Name, ?SQL, ?SUBJECT])
    end.

argument(Name, What, Parse, Args) ->
    case rabbit_misc:table_lookup(Args, Name) of
        undefined ->
            {ok, any};
        {longstr, Text} ->
            case Parse(Text) of
                {ok, Filter} -> {ok, Filter};
                {error, Reason} -> refuse("~ts is not a valid ~ts: ~ts", [Name, What, Reason])
            end;
        {Type, _Value} ->
            refuse("~ts must be a string, not of type ~ts", [Name, Type])
    end.

refuse(Format, Values) -> {error, unicode:characters_to_binary(io_lib:format(Format, Values))}.
