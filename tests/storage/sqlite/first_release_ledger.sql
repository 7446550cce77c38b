-- A ledger that the first release wrote, as `sqlite3 ledger.db .dump` gives it back.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE event (
            sequence INTEGER PRIMARY KEY,
            type TEXT NOT NULL,
            at INTEGER NOT NULL,
            recorded_at INTEGER NOT NULL,
            actor TEXT NOT NULL,
            reason TEXT NOT NULL,
            data TEXT NOT NULL,      -- canonical JSON
            measured TEXT NOT NULL,  -- canonical JSON
            previous_hash TEXT NOT NULL,
            hash TEXT NOT NULL
        );
INSERT INTO "event" VALUES(1,'Noted',1364774400000000,1795542603758930,'somebody','because 0','{"n":0}','{}','0000000000000000000000000000000000000000000000000000000000000000','928908039b55d039f7d8c3e8c0dda3b2137e65352c6489c598af267299679be7');
INSERT INTO "event" VALUES(2,'Noted',1364774400000001,1795542603759036,'somebody','because 1','{"n":1}','{}','928908039b55d039f7d8c3e8c0dda3b2137e65352c6489c598af267299679be7','217d0b37a26498c2a90c0dd75d559d774c5e725875979e6bf77cbdb2bb3f8fb8');
INSERT INTO "event" VALUES(3,'Noted',1364774400000002,1795542603759080,'somebody','because 2','{"n":2}','{}','217d0b37a26498c2a90c0dd75d559d774c5e725875979e6bf77cbdb2bb3f8fb8','d21f487dbd66500e43f2f5359801c7808aa8e0f7ca305035ae56a765ca6b6194');
CREATE TABLE lease (
            name TEXT PRIMARY KEY,
            holder TEXT NOT NULL,
            until INTEGER NOT NULL   -- wall clock, microseconds
        ) WITHOUT ROWID;
CREATE TRIGGER event_stays BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
COMMIT;
