mod external;
mod objects;
mod secrets;
mod work;
mod world;
