//! Messages over AMQP 1.0.
