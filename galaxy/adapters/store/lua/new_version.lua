-- Makes the automatic version that an app was handed out for, with everything of its source but the base digest.
-- Secrets are copied here and leave the store on no other way.
-- KEYS: APP, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS, UPDATE, HANDED_OUT, MADE, WAITING, ADMITTED,
--   PLATFORMS, BASE_IMAGES
-- ARGV: app, update, source, seen, by, in_flight, app_prefix, version_prefix, made_prefix, unfinished_prefix,
--   dependents_prefix
--   update: its number; source: the version to rebuild, or '' when there is none; seen: what `snapshot` returned when
--   that was decided; in_flight: how many automatic versions may be admitted.
-- Returns {'made', version, base digest, how many are left handed out, free slots, superseded versions...};
-- {'changed', snapshot...}: decide again; {'skipped', left}; or {'over', left}: the update has ended, or this was done
-- before.
local APP, UNFINISHED, DUE, ACTIVITY, ENDED, OUTBOX, OUTBOX_APPS, UPDATE, HANDED_OUT, MADE, WAITING, ADMITTED,
  PLATFORMS, BASE_IMAGES = unpack(KEYS)
local app, update, source, seen, by, in_flight, app_prefix, version_prefix, made_prefix, unfinished_prefix,
  dependents_prefix = unpack(ARGV)
-- include: snapshot.lua
-- include: new_record.lua
-- include: dependents.lua
local COPIED = {'bundle_url', 'settings', 'env', 'base_image', 'base_reference', 'origin'}
local current, content, digest = unpack(redis.call('HMGET', UPDATE, 'number', 'content', 'digest'))

local function left() return redis.call('ZCARD', HANDED_OUT) end

local function version_key(number) return version_prefix .. app .. ':' .. number end

if current ~= update then return {'over', 0} end
if not redis.call('ZSCORE', HANDED_OUT, app) then
  -- done before: a second delivery, or the answer was lost
  local newest = redis.call('HGET', APP, 'last') or '0'
  local of_update, rebuild_of, on = unpack(
    redis.call('HMGET', version_key(newest), 'update', 'rebuild_of', 'base_digest'))
  if of_update == update and rebuild_of == source then return {'made', tonumber(newest), on, left(), 0} end
  return {'over', left()}
end
local snapshots = {}
if snapshot(snapshots, app, content) ~= seen then
  table.insert(snapshots, 1, 'changed')
  return snapshots
end
redis.call('ZREM', HANDED_OUT, app)
if source == '' then
  redis.call('HINCRBY', UPDATE, 'skipped', 1)
  return {'skipped', left()}
end

local older = redis.call('HGET', APP, 'last')
local record = {automatic = 1, deployed_by = by, rebuild_of = source, update = update, base_digest = digest,
  wanted_digest = digest}
for index, value in ipairs(redis.call('HMGET', version_key(source), unpack(COPIED))) do
  record[COPIED[index]] = value or ''
end
if record.origin == '' then record.origin = source end
-- should its build fail, too, that says nothing about the base image
if redis.call('HGET', version_key(older), 'state') == 'build_failed' then record.failed_before = 1 end
local number, version = new_record(app, record)
local why = reason_of('rebuild', {base_image = record.base_image, digest = digest, version = number,
  source = tonumber(source)})
record_activity('rebuild', version, why)
announce('rebuild', version, why)

local superseded, refused = take_place(app, number, reason_of('base_image_changed_again', {newer = number}))
if refused then return refused end
redis.call('ZADD', WAITING, 'NX', ms(now_ms()), app .. ' ' .. number)
redis.call('HSET', MADE, content .. ' ' .. record.origin, number)
redis.call('HINCRBY', UPDATE, 'created', 1)
redis.call('HINCRBY', UPDATE, 'wave_created', 1)
index_dependent(app, APP)
local free = math.max(0, in_flight - redis.call('ZCARD', ADMITTED))
return {'made', number, digest, left(), free, unpack(superseded)}
