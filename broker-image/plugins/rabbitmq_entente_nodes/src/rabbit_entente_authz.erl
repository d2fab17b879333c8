%% RabbitMQ's own users and rights, and besides: who is refused something is noted (rabbit_entente_refusals). RabbitMQ itself writes it to
%% its log and tells nobody.
%%
%% It stands where `rabbit_auth_backend_internal' would (`auth_backends.1.authz'), and decides nothing: every answer is that module's.
-module(rabbit_entente_authz).

-behaviour(rabbit_authz_backend).

-export([user_login_authorization/2, check_vhost_access/3, check_resource_access/4, check_topic_access/4, expiry_timestamp/1]).

-include_lib("rabbit_common/include/rabbit.hrl").

user_login_authorization(Name, Properties) -> rabbit_auth_backend_internal:user_login_authorization(Name, Properties).

check_vhost_access(#auth_user{username = User} = AuthUser, VirtualHost, Data) ->
    told(rabbit_auth_backend_internal:check_vhost_access(AuthUser, VirtualHost, Data), {User, VirtualHost, vhost, VirtualHost, connect}).

check_resource_access(#auth_user{username = User} = AuthUser, #resource{virtual_host = VirtualHost, kind = Kind, name = Name} = Resource,
                      Permission, Context) ->
    told(rabbit_auth_backend_internal:check_resource_access(AuthUser, Resource, Permission, Context),
         {User, VirtualHost, Kind, Name, Permission}).

check_topic_access(AuthUser, Resource, Permission, Context) ->
    rabbit_auth_backend_internal:check_topic_access(AuthUser, Resource, Permission, Context).

expiry_timestamp(AuthUser) -> rabbit_auth_backend_internal:expiry_timestamp(AuthUser).

%% An error is no refusal: nobody decided.
told(false, What) ->
    rabbit_entente_refusals:note(What),
    false;
told(Other, _) -> Other.
