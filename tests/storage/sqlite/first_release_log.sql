-- A log that the first release wrote, as `sqlite3 log.db .dump` gives it back.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE loss (
            at INTEGER NOT NULL,
            prediction INTEGER NOT NULL,
            version TEXT NOT NULL,
            outcome INTEGER NOT NULL,
            served INTEGER NOT NULL,
            known_at INTEGER NOT NULL,
            replaced_at INTEGER NOT NULL,
            loss INTEGER NOT NULL,   -- 1e-9 units
            PRIMARY KEY (at, prediction, version, outcome)
        ) WITHOUT ROWID;
INSERT INTO "loss" VALUES(1364774400000000,1,'v1',1,1,1364774400000010,1364774400000020,7);
INSERT INTO "loss" VALUES(1364774400000000,1,'v2',1,0,1364774400000010,1364774400000020,7);
CREATE TABLE outcome (
            arrival INTEGER PRIMARY KEY,
            prediction INTEGER,      -- null while the prediction has not come
            id TEXT,                 -- only while the prediction has not come
            name TEXT NOT NULL,
            value TEXT NOT NULL,     -- JSON
            known_at INTEGER NOT NULL,
            replaced_at INTEGER NOT NULL
        );
INSERT INTO "outcome" VALUES(1,1,NULL,'label','1',1364774400000010,1364774400000020);
INSERT INTO "outcome" VALUES(2,NULL,'z','label','0',1364774400000011,9223372036854775807);
INSERT INTO "outcome" VALUES(3,2,NULL,'label','1',1364774400000012,9223372036854775807);
INSERT INTO "outcome" VALUES(4,1,NULL,'label','0',1364774400000020,9223372036854775807);
CREATE TABLE prediction (
            arrival INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            at INTEGER NOT NULL,
            unit TEXT,
            trial TEXT,
            phase INTEGER NOT NULL,
            arm TEXT,
            version TEXT NOT NULL,
            served_by TEXT NOT NULL,
            fallback_reason TEXT,
            propensity REAL NOT NULL,
            latency_us INTEGER NOT NULL,
            output BLOB NOT NULL,    -- little-endian doubles
            features TEXT NOT NULL   -- JSON
        );
INSERT INTO "prediction" VALUES(1,'a',1364774400000000,'u','t',1,'challenger','v1','v1',NULL,1.0,0,X'000000000000D03F000000000000E83F','{"hour":14,"wind":3.5,"origin":"JFK","wet":true,"gust":null}');
INSERT INTO "prediction" VALUES(2,'b',1364774400000005,NULL,NULL,0,NULL,'v1','v2','timeout',1.0,0,X'000000000000D03F000000000000E83F','{"hour":14,"wind":3.5,"origin":"JFK","wet":true,"gust":null}');
INSERT INTO "prediction" VALUES(3,'c',1364774400000006,NULL,NULL,0,NULL,'v1','v1','timeout',1.0,0,X'000000000000D03F000000000000E83F','{"hour":14,"wind":3.5,"origin":"JFK","wet":true,"gust":null}');
CREATE TABLE review (
            arrival INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            at INTEGER NOT NULL,
            version TEXT NOT NULL,
            reason TEXT NOT NULL,
            propensity REAL NOT NULL,
            policy TEXT NOT NULL,
            label TEXT,              -- JSON
            reviewer TEXT
        );
INSERT INTO "review" VALUES(1,'b',1364774400000000,'v1','audit',0.02,'p1',NULL,NULL);
CREATE TABLE shadow (
            at INTEGER NOT NULL,
            prediction INTEGER NOT NULL,
            version TEXT NOT NULL,
            output BLOB,
            error TEXT,
            latency_us INTEGER NOT NULL,
            PRIMARY KEY (at, prediction, version)
        ) WITHOUT ROWID;
INSERT INTO "shadow" VALUES(1364774400000000,1,'v2',X'000000000000E03F000000000000E03F',NULL,0);
INSERT INTO "shadow" VALUES(1364774400000006,3,'v2',NULL,'died',0);
CREATE TABLE unscored (
            prediction INTEGER NOT NULL,
            version TEXT NOT NULL,
            PRIMARY KEY (prediction, version)
        ) WITHOUT ROWID;
INSERT INTO "unscored" VALUES(1,'v1');
INSERT INTO "unscored" VALUES(1,'v2');
INSERT INTO "unscored" VALUES(2,'v2');
CREATE INDEX prediction_at ON prediction (at);
CREATE INDEX prediction_served ON prediction (served_by, fallback_reason);
CREATE INDEX prediction_trial ON prediction (trial, phase, at, arm, unit, fallback_reason)
            WHERE trial IS NOT NULL;
CREATE INDEX outcome_prediction ON outcome (prediction, name, replaced_at);
CREATE INDEX outcome_pending ON outcome (id) WHERE prediction IS NULL;
CREATE INDEX review_at ON review (at);
COMMIT;
