-- Forgets announcements that an app's log has now.
-- KEYS: OUTBOX, OUTBOX_APPS
-- ARGV: app, ids
--   ids: JSON, a list of the announcements' ids.
-- Returns nothing.
local OUTBOX, OUTBOX_APPS = unpack(KEYS)
local app, ids = unpack(ARGV)
redis.call('XDEL', OUTBOX, unpack(cjson.decode(ids)))
-- The stream stays, empty: its ids must go on rising, whatever the clock does.
if redis.call('XLEN', OUTBOX) == 0 then redis.call('SREM', OUTBOX_APPS, app) end
