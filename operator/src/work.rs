//! What a leader does: the controllers, and what they share.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use anyhow::Context as _;
use entente_core::subscription::validate::{is_to, is_under};
use entente_crds::meta::MANAGER;
use entente_crds::{Broker, Client as BrokerClient, Queue, ServiceContract, Subscription, Topic};
use futures::stream::{select, unfold};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::{Client, ResourceExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::activity::Activity;
use crate::admission::{self, Certificates};
use crate::broker::guard::Guard;
use crate::broker::{self, BrokerContext, BrokerSettings, Namespaces};
use crate::client::news::{Sightings, users_of};
use crate::client::{self, ClientContext};
use crate::contract::{ContractContext, dependents};
use crate::follow::{Changes, broker_essence, contract_essence, follow, namespace_essence, topic_essence};
use crate::keda;
use crate::lanes::Lanes;
use crate::links::Links;
use crate::links::probe::LinkProbe;
use crate::links::registry::Observation;
use crate::metrics::Metrics;
use crate::objects::{Context, Shared, writes};
use crate::orphans::Keeper;
use crate::replay::Replays;
use crate::scaling::{Annotated, Autoscaler, Lookout};
use crate::settings::RunSettings;
use crate::visits;

/// Works until `halted` says so; then visits under way are finished.
pub async fn work(settings: RunSettings, client: Client, metrics: Metrics, halted: watch::Receiver<bool>) -> anyhow::Result<()> {
    let observation = Observation { resync: settings.resync, events: settings.broker_events };
    let activity = Activity::default();
    let (links, woken) = Links::new(
        client.clone(),
        settings.cluster_domain.clone(),
        settings.pod_name.clone(),
        observation,
        activity.clone(),
        metrics.clone(),
    );
    let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(settings.pod_name.clone()) };
    let recorder = Recorder::new(client.clone(), reporter);

    let changes = Changes::default();
    let (tell_topic, changed_topics) = mpsc::unbounded_channel();
    let brokers = follow::<Broker>(&client, changes.teller(), broker_essence);
    let namespaces = follow::<Namespace>(&client, changes.teller(), namespace_essence);
    let topics = follow::<Topic>(&client, move |topic| drop(tell_topic.send(topic)), topic_essence);
    let (tell_contract, changed_contracts) = broadcast();
    let contracts = follow::<ServiceContract>(&client, tell_contract, contract_essence);
    brokers.wait_until_ready().await.context("Brokers cannot be watched")?;
    namespaces.wait_until_ready().await.context("namespaces cannot be watched")?;
    topics.wait_until_ready().await.context("Topics cannot be watched")?;
    contracts.wait_until_ready().await.context("ServiceContracts cannot be watched")?;

    let mut controllers = JoinSet::new();
    let broker_context = brokers_context(&settings, &client, &links, &recorder);
    tokio::spawn(guard(&settings, &client, &links, &recorder, &broker_context, &brokers).run());
    controllers.spawn(broker::run(broker_context, halt(halted.clone())));
    tokio::spawn(drop_dead_links(changes.stream(), Arc::clone(&links), brokers.clone()));

    if settings.admission_listen.is_some() && settings.admission_certificates == Certificates::SelfIssued {
        tokio::spawn(admission::keeper::keep(client.clone(), settings.admission_names()));
    }

    let (sightings, seen) = Sightings::new();
    let keeper = Keeper { client: client.clone(), brokers: brokers.clone(), links: Arc::clone(&links), every: settings.resync };
    tokio::spawn(keeper.run(changes.stream()));

    let shared = Arc::new(Shared {
        client,
        brokers,
        namespaces,
        topics,
        contracts,
        sightings,
        links,
        recorder,
        telling: Arc::new(Semaphore::new(writes::EVENTS_AT_ONCE)),
        lanes: Lanes::default(),
        activity,
        metrics,
        replays: Replays::default(),
    });
    let (queues, subscriptions) = (reflector::store::<Queue>(), reflector::store::<Subscription>());
    let queue_reader = queues.0.clone();
    let subscribers = subscribers(unbounded(changed_topics), subscriptions.0.clone());
    let [contracts_of_subscriptions, contracts_of_clients] = changed_contracts.map(unbounded);
    let under = concerned(contracts_of_subscriptions, subscriptions.0.clone(), |known, contract| {
        is_under(known, contract.namespace.as_deref().unwrap_or_default(), &contract.name)
    });
    let wake_subscriptions = select(select(unbounded(woken.subscriptions), subscribers), under);
    begin_scaling(&settings, &shared, &queue_reader, &subscriptions.0);
    let context = || Arc::clone(&shared);
    let halt = || halt(halted.clone());
    controllers.spawn(visits::run(Context::new(context()), queues, unbounded(woken.queues), changes.stream(), halt()));
    let topics = reflector::store::<Topic>();
    let clients = reflector::store::<BrokerClient>();
    let client_context = Arc::new(ClientContext {
        shared: context(),
        written: writes::Written::default(),
        queues: queue_reader,
        topics: topics.0.clone(),
        subscriptions: subscriptions.0.clone(),
        resync: settings.resync,
        passwords: client::context::Passwords::default(),
    });
    let users = users_of(seen.changes(), clients.0.clone(), subscriptions.0.clone());
    let wake_clients = select(unbounded(woken.clients), users);
    let of_contracts = concerned(contracts_of_clients, clients.0.clone(), {
        let subscriptions = subscriptions.0.clone();
        move |client, contract| dependents::depends(client, contract, &subscriptions)
    });
    let wake_clients = select(wake_clients, of_contracts);
    let contracts = reflector::store::<ServiceContract>();
    let contract_context = ContractContext::new(context(), clients.0.clone(), subscriptions.0.clone(), settings.resync);
    let contract_context = Arc::new(contract_context.measuring(settings.probes).checking(settings.checks));
    controllers.spawn(visits::run(contract_context, contracts, unbounded(woken.contracts), changes.stream(), halt()));
    controllers.spawn(visits::run(client_context, clients, wake_clients, changes.stream(), halt()));
    controllers.spawn(visits::run(Context::new(context()), topics, unbounded(woken.topics), changes.stream(), halt()));
    let context = Context::new(context());
    controllers.spawn(visits::run(context, subscriptions, wake_subscriptions, changes.stream(), halt()));

    // Each ends only when told to, and then the others do too; an end otherwise ends the process.
    let told = halted.clone();
    while let Some(result) = controllers.join_next().await {
        result?;
        anyhow::ensure!(*told.borrow(), "a controller ended");
    }
    Ok(())
}

/// The autoscaler, and KEDA's answers, which come from the same depths.
fn begin_scaling(settings: &RunSettings, shared: &Arc<Shared>, queues: &Store<Queue>, subscriptions: &Store<Subscription>) {
    let lookout = Arc::new(Lookout::default());
    let autoscaler = Autoscaler {
        shared: Arc::clone(shared),
        queues: queues.clone(),
        subscriptions: subscriptions.clone(),
        cluster_domain: settings.cluster_domain.clone(),
        annotated: Annotated::parse(&settings.pod_deletion_cost_namespaces),
        lookout: Arc::clone(&lookout),
    };
    tokio::spawn(autoscaler.run());
    if let Some(listen) = settings.keda_listen {
        let desk =
            keda::Desk { shared: Arc::clone(shared), queues: queues.clone(), subscriptions: subscriptions.clone(), lookout };
        tokio::spawn(keda::serve(listen, settings.keda_names(), shared.client.clone(), Arc::new(desk), shared.metrics.clone()));
    }
}

fn brokers_context(settings: &RunSettings, client: &Client, links: &Arc<Links>, recorder: &Recorder) -> Arc<BrokerContext> {
    let settings = BrokerSettings {
        image: settings.broker_image.clone(),
        cluster_domain: settings.cluster_domain.clone(),
        operator_namespace: settings.namespace.clone(),
        namespaces: Namespaces::parse(settings.broker_namespaces.iter().map(String::as_str), &settings.namespace),
    };
    Arc::new(BrokerContext::new(client.clone(), settings, Arc::new(LinkProbe(Arc::clone(links))), recorder.clone()))
}

fn guard(
    settings: &RunSettings,
    client: &Client,
    links: &Arc<Links>,
    recorder: &Recorder,
    context: &BrokerContext,
    brokers: &Store<Broker>,
) -> Guard {
    Guard {
        client: client.clone(),
        brokers: brokers.clone(),
        links: Arc::clone(links),
        namespaces: context.settings.namespaces.clone(),
        cluster_domain: settings.cluster_domain.clone(),
        recorder: recorder.clone(),
    }
}

async fn halt(mut halted: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = halted.wait_for(|halted| *halted).await;
}

fn unbounded<T: Send + 'static>(receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> + Send + 'static {
    unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
}

/// Contracts that changed.
type ChangedContracts = mpsc::UnboundedReceiver<ObjectRef<ServiceContract>>;

/// Tells two listeners of each change of a contract.
fn broadcast() -> (impl Fn(ObjectRef<ServiceContract>) + Send + 'static, [ChangedContracts; 2]) {
    let (one, first) = mpsc::unbounded_channel();
    let (other, second) = mpsc::unbounded_channel();
    let tell = move |contract: ObjectRef<ServiceContract>| {
        // The receivers are gone only while the process ends.
        let _ = one.send(contract.clone());
        let _ = other.send(contract);
    };
    (tell, [first, second])
}

/// The objects that depend on contracts that changed.
fn concerned<K>(
    contracts: impl Stream<Item = ObjectRef<ServiceContract>> + Send + 'static,
    objects: Store<K>,
    depends: impl Fn(&K, &ObjectRef<ServiceContract>) -> bool + Send + 'static,
) -> impl Stream<Item = ObjectRef<K>> + Send + 'static
where
    K: kube::Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    contracts.flat_map(move |contract| {
        let all = objects.state();
        let found: Vec<_> =
            all.iter().filter(|known| depends(known, &contract)).map(|known| ObjectRef::from_obj(known.as_ref())).collect();
        futures::stream::iter(found)
    })
}

/// The Subscriptions of Topics that changed.
fn subscribers(
    topics: impl Stream<Item = ObjectRef<Topic>> + Send + 'static,
    subscriptions: Store<Subscription>,
) -> impl Stream<Item = ObjectRef<Subscription>> + Send + 'static {
    topics.flat_map(move |topic| {
        let of_it = |known: &&Arc<Subscription>| is_to(known, topic.namespace.as_deref().unwrap_or_default(), &topic.name);
        let found: Vec<_> = subscriptions.state().iter().filter(of_it).map(|known| ObjectRef::from_obj(known.as_ref())).collect();
        futures::stream::iter(found)
    })
}

async fn drop_dead_links(changes: impl Stream<Item = ()>, links: Arc<Links>, brokers: Store<Broker>) {
    let mut changes = pin!(changes);
    while changes.next().await.is_some() {
        let uids: HashSet<String> = brokers.state().iter().filter_map(|broker| broker.uid()).collect();
        links.retain(&uids).await;
    }
}
