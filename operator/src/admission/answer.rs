//! What the API server is told.

use entente_core::admission::Judgement;
use serde_json::{Value, json};

use super::question::Operation;

/// The answer, as an AdmissionReview.
pub fn review(uid: &str, operation: Operation, judgement: &Judgement) -> Value {
    let mut response = json!({"uid": uid, "allowed": judgement.is_admitted()});
    if let Some(message) = judgement.message() {
        // As the API server itself answers to a wrong field, and to what is not allowed now.
        let (code, reason) = if operation == Operation::Delete { (403, "Forbidden") } else { (422, "Invalid") };
        response["status"] = json!({"code": code, "reason": reason, "message": message});
    }
    if !judgement.warnings().is_empty() {
        response["warnings"] = json!(judgement.warnings());
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_its_place() {
        let mut judgement = Judgement::default();
        assert_eq!(review("7", Operation::Create, &judgement)["response"], json!({"uid": "7", "allowed": true}));
        judgement.warn("look");
        judgement.refuse("no");
        let answer = review("7", Operation::Create, &judgement);
        assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
        let status = json!({"code": 422, "reason": "Invalid", "message": "no"});
        assert_eq!(answer["response"], json!({"uid": "7", "allowed": false, "status": status, "warnings": ["look"]}));
        assert_eq!(review("7", Operation::Delete, &judgement)["response"]["status"]["code"], 403);
    }
}
