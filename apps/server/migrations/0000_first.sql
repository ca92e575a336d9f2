CREATE TABLE "actions" (
	"id" text PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"kind" text NOT NULL,
	"subject" text NOT NULL,
	"value" double precision NOT NULL,
	"reason" text NOT NULL,
	"expected_gain" double precision NOT NULL,
	"realised_gain" double precision,
	"done" boolean NOT NULL,
	"effect" text
);
--> statement-breakpoint
CREATE TABLE "attempts" (
	"task" text NOT NULL,
	"number" integer NOT NULL,
	"decision" text,
	"resources" jsonb,
	"vm" text,
	"node" text,
	"steps" jsonb NOT NULL,
	"outcome" text,
	"exit_code" integer,
	"peak_mib" double precision,
	"cpu_seconds" double precision,
	"wall_seconds" double precision,
	"started_at" timestamp (3) with time zone NOT NULL,
	"running_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone,
	CONSTRAINT "attempts_task_number_pk" PRIMARY KEY("task","number")
);
--> statement-breakpoint
CREATE TABLE "brain_state" (
	"id" integer PRIMARY KEY NOT NULL,
	"saved_at" timestamp (3) with time zone NOT NULL,
	"body" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "decisions" (
	"id" text PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"task" text,
	"attempt" integer NOT NULL,
	"body" jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "events" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "events_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"at" timestamp (3) with time zone NOT NULL,
	"topic" text NOT NULL,
	"type" text NOT NULL,
	"subject" text,
	"name" text,
	"message" text NOT NULL,
	"details" jsonb NOT NULL,
	"actor" text,
	"request_id" text
);
--> statement-breakpoint
CREATE TABLE "experiences" (
	"id" text PRIMARY KEY NOT NULL,
	"at" double precision NOT NULL,
	"family" text NOT NULL,
	"body" jsonb NOT NULL,
	"embedding" "bytea" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "files" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"bytes" bigint NOT NULL,
	"received" bigint NOT NULL,
	"sha256" text,
	"expected_sha256" text,
	"created_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "images" (
	"name" text PRIMARY KEY NOT NULL,
	"state" text NOT NULL,
	"problem" jsonb,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "nodes" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"state" text NOT NULL,
	"cordoned" boolean NOT NULL,
	"cpu" integer NOT NULL,
	"memory_mib" integer NOT NULL,
	"gpu" integer NOT NULL,
	"disk_mib" integer NOT NULL,
	"labels" jsonb NOT NULL,
	"added_at" timestamp (3) with time zone NOT NULL,
	"last_seen_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "settings" (
	"key" text PRIMARY KEY NOT NULL,
	"value" jsonb NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "snapshots" (
	"id" text PRIMARY KEY NOT NULL,
	"vm" text NOT NULL,
	"name" text NOT NULL,
	"bytes" bigint NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "task_files" (
	"task" text NOT NULL,
	"kind" text NOT NULL,
	"name" text NOT NULL,
	"stored" text NOT NULL,
	"bytes" bigint NOT NULL,
	"sha256" text NOT NULL,
	"mode" integer NOT NULL,
	CONSTRAINT "task_files_task_kind_name_pk" PRIMARY KEY("task","kind","name")
);
--> statement-breakpoint
CREATE TABLE "tasks" (
	"id" text PRIMARY KEY NOT NULL,
	"description" text NOT NULL,
	"family" text,
	"domain" text,
	"state" text NOT NULL,
	"priority" integer NOT NULL,
	"labels" jsonb NOT NULL,
	"input" jsonb NOT NULL,
	"deadline" timestamp (3) with time zone,
	"attempts_allowed" integer NOT NULL,
	"attempts_forgiven" integer NOT NULL,
	"attempt" integer NOT NULL,
	"idempotency_key" text,
	"cancel_reason" text,
	"result" jsonb,
	"problem" jsonb,
	"learned" jsonb NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"started_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "tokens" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"scopes" jsonb NOT NULL,
	"hash" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"created_by" text,
	"expires_at" timestamp (3) with time zone,
	"last_used_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "vms" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"state" text NOT NULL,
	"purpose" text,
	"cpu" integer NOT NULL,
	"memory_mib" integer NOT NULL,
	"gpu" integer NOT NULL,
	"disk_mib" integer NOT NULL,
	"image" text NOT NULL,
	"engine" text NOT NULL,
	"node" text NOT NULL,
	"ports" jsonb NOT NULL,
	"labels" jsonb NOT NULL,
	"task" text,
	"parent" text,
	"decision" text,
	"problem" jsonb,
	"created_at" timestamp (3) with time zone NOT NULL,
	"started_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE INDEX "actions_at" ON "actions" USING btree ("at");--> statement-breakpoint
CREATE INDEX "decisions_task" ON "decisions" USING btree ("task","attempt");--> statement-breakpoint
CREATE INDEX "events_at" ON "events" USING btree ("at");--> statement-breakpoint
CREATE INDEX "files_expires" ON "files" USING btree ("expires_at");--> statement-breakpoint
CREATE UNIQUE INDEX "nodes_name" ON "nodes" USING btree ("name");--> statement-breakpoint
CREATE UNIQUE INDEX "snapshots_name" ON "snapshots" USING btree ("vm","name");--> statement-breakpoint
CREATE UNIQUE INDEX "tasks_idempotency" ON "tasks" USING btree ("created_by","idempotency_key");--> statement-breakpoint
CREATE INDEX "tasks_state" ON "tasks" USING btree ("state","id");--> statement-breakpoint
CREATE INDEX "tasks_family" ON "tasks" USING btree ("family","id");--> statement-breakpoint
CREATE UNIQUE INDEX "tokens_hash" ON "tokens" USING btree ("hash");--> statement-breakpoint
CREATE UNIQUE INDEX "vms_name" ON "vms" USING btree ("name") WHERE state <> 'destroyed';--> statement-breakpoint
CREATE INDEX "vms_state" ON "vms" USING btree ("state","id");