//! The messages of KEDA's protocol (`operator/proto/externalscaler.proto`), and the paths of its calls.
//!
//! Written by hand: seven messages are less than a compiler for them. A test reads the file and compares.

// The names are the protocol's.
#![allow(clippy::struct_field_names)]

use std::collections::HashMap;

use prost::Message;

pub const IS_ACTIVE: &str = "/externalscaler.ExternalScaler/IsActive";
pub const STREAM_IS_ACTIVE: &str = "/externalscaler.ExternalScaler/StreamIsActive";
pub const GET_METRIC_SPEC: &str = "/externalscaler.ExternalScaler/GetMetricSpec";
pub const GET_METRICS: &str = "/externalscaler.ExternalScaler/GetMetrics";

#[derive(Clone, PartialEq, Message)]
pub struct ScaledObjectRef {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(map = "string, string", tag = "3")]
    pub scaler_metadata: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct IsActiveResponse {
    #[prost(bool, tag = "1")]
    pub result: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetMetricSpecResponse {
    #[prost(message, repeated, tag = "1")]
    pub metric_specs: Vec<MetricSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub struct MetricSpec {
    #[prost(string, tag = "1")]
    pub metric_name: String,
    #[prost(int64, tag = "2")]
    pub target_size: i64,
    #[prost(double, tag = "3")]
    pub target_size_float: f64,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetMetricsRequest {
    #[prost(message, optional, tag = "1")]
    pub scaled_object_ref: Option<ScaledObjectRef>,
    #[prost(string, tag = "2")]
    pub metric_name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetMetricsResponse {
    #[prost(message, repeated, tag = "1")]
    pub metric_values: Vec<MetricValue>,
}

#[derive(Clone, PartialEq, Message)]
pub struct MetricValue {
    #[prost(string, tag = "1")]
    pub metric_name: String,
    #[prost(int64, tag = "2")]
    pub metric_value: i64,
    #[prost(double, tag = "3")]
    pub metric_value_float: f64,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use protox::prost_reflect::{DescriptorPool, DynamicMessage};

    use super::*;

    fn pool() -> DescriptorPool {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
        let files = protox::compile([folder.join("externalscaler.proto")], [folder]).unwrap();
        DescriptorPool::from_file_descriptor_set(files).unwrap()
    }

    /// What the file's own reader makes of our bytes, as text with every field in it.
    fn read(pool: &DescriptorPool, name: &str, message: &impl Message) -> String {
        let descriptor = pool.get_message_by_name(&format!("externalscaler.{name}")).unwrap();
        let read = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read.unknown_fields().count(), 0, "{name} has fields that the protocol does not know");
        read.to_string()
    }

    #[test]
    fn the_calls_are_those_of_the_protocol() {
        let pool = pool();
        let service = pool.get_service_by_name("externalscaler.ExternalScaler").unwrap();
        let declared: Vec<String> =
            service.methods().map(|method| format!("/{}/{}", service.full_name(), method.name())).collect();
        assert_eq!(declared, [IS_ACTIVE, STREAM_IS_ACTIVE, GET_METRIC_SPEC, GET_METRICS]);
        let streams: Vec<bool> = service.methods().map(|method| method.is_server_streaming()).collect();
        assert_eq!(streams, [false, true, false, false]);
    }

    #[test]
    fn the_messages_are_those_of_the_protocol() {
        let pool = pool();
        let object = ScaledObjectRef {
            name: "n".into(),
            namespace: "s".into(),
            scaler_metadata: HashMap::from([("k".to_owned(), "v".to_owned())]),
        };
        let told = r#"name:"n",namespace:"s",scalerMetadata:[{key:"k",value:"v"}]"#;
        assert_eq!(read(&pool, "ScaledObjectRef", &object), told);
        assert_eq!(read(&pool, "IsActiveResponse", &IsActiveResponse { result: true }), "result:true");
        let spec = MetricSpec { metric_name: "m".into(), target_size: 7, target_size_float: 7.5 };
        assert_eq!(
            read(&pool, "GetMetricSpecResponse", &GetMetricSpecResponse { metric_specs: vec![spec] }),
            r#"metricSpecs:[{metricName:"m",targetSize:7,targetSizeFloat:7.5}]"#
        );
        let asked = GetMetricsRequest { scaled_object_ref: Some(object), metric_name: "m".into() };
        assert_eq!(read(&pool, "GetMetricsRequest", &asked), format!(r#"scaledObjectRef{{{told}}},metricName:"m""#));
        let value = MetricValue { metric_name: "m".into(), metric_value: 9, metric_value_float: 9.5 };
        assert_eq!(
            read(&pool, "GetMetricsResponse", &GetMetricsResponse { metric_values: vec![value] }),
            r#"metricValues:[{metricName:"m",metricValue:9,metricValueFloat:9.5}]"#
        );
    }
}
