-- Makes an app's next version, number and record in one step, unless the idempotency key was used before.
-- KEYS: APP, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS, IDEMPOTENCY, APPS, BASE_IMAGES
-- ARGV: app, version_prefix, dependents_prefix, fingerprint, retention_ms, due_in_ms, record
--   record: JSON, the fields of the version's record.
-- Returns {number, 'created' | 'repeated' | 'conflict', superseded numbers...}.
local APP, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS, IDEMPOTENCY, APPS, BASE_IMAGES = unpack(KEYS)
local app, version_prefix, dependents_prefix, fingerprint, retention_ms, due_in_ms, record = unpack(ARGV)
-- include: new_record.lua
-- include: dependents.lua

local known = redis.call('GET', IDEMPOTENCY)
if known then
  local number, content = string.match(known, '^(%d+) (.*)$')
  return {tonumber(number), content == fingerprint and 'repeated' or 'conflict'}
end

local number, version = new_record(app, cjson.decode(record))
redis.call('ZADD', APPS, 0, app)
index_dependent(app, APP)
local updates, pinned_image, pinned_digest = unpack(
  redis.call('HMGET', APP, 'updates', 'pinned_image', 'pinned_digest'))
if updates == 'pinned' and pinned_image == redis.call('HGET', version, 'base_reference') then
  redis.call('HSET', version, 'wanted_digest', pinned_digest)
end
redis.call('SET', IDEMPOTENCY, number .. ' ' .. fingerprint, 'PX', retention_ms)
record_activity('deployed', version)
announce('deployed', version)

-- older versions that are not built yet have no reason to go on
local superseded, refused = take_place(app, number, reason_of('deployed_newer', {newer = number}))
if refused then return refused end
set_due(version, now_ms() + due_in_ms)
return {number, 'created', unpack(superseded)}
